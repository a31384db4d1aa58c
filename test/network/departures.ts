/** Work that is due later, in order of time, on one timer. What is due at once is done at once. */
export class Departures {
  /** By time; equal times in the order they were added. */
  #due: { readonly atMs: number; readonly leave: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** Call `leave` in `afterMs`. */
  add(afterMs: number, leave: () => void): void {
    if (afterMs <= 0) {
      leave();
      return;
    }
    const atMs = performance.now() + afterMs;
    let index = this.#due.length;
    while (index > 0 && (this.#due[index - 1]?.atMs ?? 0) > atMs) index -= 1;
    this.#due.splice(index, 0, { atMs, leave });
    if (index === 0) this.#arm();
  }

  /** Forget what is due. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.#due = [];
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const [first] = this.#due;
    if (first !== undefined) this.#timer = setTimeout(this.#fire, Math.max(0, first.atMs - performance.now()));
  }

  readonly #fire = (): void => {
    const now = performance.now();
    const next = this.#due.findIndex(({ atMs }) => atMs > now);
    for (const { leave } of this.#due.splice(0, next < 0 ? this.#due.length : next)) leave();
    this.#arm();
  };
}
