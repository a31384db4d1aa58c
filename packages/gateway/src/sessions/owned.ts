/** Work that runs beside its owner, and never without one: it is awaited before the owner is done, and its failure is heard. */
export class OwnedTasks {
  readonly #running = new Set<Promise<void>>();
  readonly #onError: (error: unknown) => void;

  /** @param onError what to do about a failure; must not throw */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Start `work`. */
  run(work: () => Promise<void>): void {
    const task = work()
      .catch((error: unknown) => this.#onError(error))
      .finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  /** How many run. */
  get size(): number {
    return this.#running.size;
  }

  /** Resolves when everything has ended, what was started meanwhile included. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
