/** How much faster than time itself the horizon may catch up with the wall clock. */
const CATCH_UP = 2;

/**
 * The moment that retention takes for now. It follows the wall clock, but forward never faster than twice the time that really passed: a clock that jumps a year ahead must not delete a
 * year of events. One that was stopped for long, as over a night, is caught up with in as long again; until then events are kept longer than asked.
 */
export class RetentionClock {
  #trusted: number;
  #monotonicMs: number;

  /** @param trusted where it stood when it was last asked, or the wall clock where it never was */
  constructor(trusted: number, monotonicMs: number) {
    this.#trusted = trusted;
    this.#monotonicMs = monotonicMs;
  }

  /** @returns Unix milliseconds, at most `wall` */
  now(wall: number, monotonicMs: number): number {
    const passed = Math.max(0, monotonicMs - this.#monotonicMs);
    this.#monotonicMs = monotonicMs;
    this.#trusted = Math.min(wall, this.#trusted + CATCH_UP * passed);
    return this.#trusted;
  }
}
