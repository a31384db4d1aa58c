/** Work that runs beside its owner, and never without one: it is awaited before the owner is done, and its failure is heard. */
export class OwnedTasks {
  readonly #onError: (error: unknown) => void;
  // Counted, and the same two functions for all of it: an idle session has work that only waits.
  #running = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  /** @param onError what to do about a failure; must not throw */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Start `work`, which may be done when it returns. */
  run(work: () => Promise<void> | undefined): void {
    this.#running += 1;
    try {
      const task = work();
      if (task === undefined) this.#ended();
      else task.then(this.#ended, this.#failed);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** How many run. */
  get size(): number {
    return this.#running;
  }

  /** Resolves when everything has ended, what was started meanwhile included. */
  async settled(): Promise<void> {
    while (this.#running > 0) {
      this.#idle ??= Promise.withResolvers<void>();
      await this.#idle.promise;
    }
  }

  readonly #ended = (): void => {
    this.#running -= 1;
    if (this.#running > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  };

  readonly #failed = (error: unknown): void => {
    this.#onError(error);
    this.#ended();
  };
}
