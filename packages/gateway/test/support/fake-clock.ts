import type { Clock } from "../../src/clock.ts";

/** A clock that stands still until it is turned. */
export class FakeClock implements Clock {
  #now: number;
  /** By how much the wall clock is wrong. */
  #jumpedMs = 0;
  #timers = new Map<number, { readonly at: number; readonly run: () => void }>();
  #nextTimer = 1;

  constructor(now = 1_800_000_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now + this.#jumpedMs;
  }

  monotonicMs(): number {
    return this.#now - 1_700_000_000_000;
  }

  /** The wall clock is set; no time passes. */
  jump(ms: number): void {
    this.#jumpedMs += ms;
  }

  after(delayMs: number, run: () => void): () => void {
    const id = this.#nextTimer++;
    this.#timers.set(id, { at: this.#now + delayMs, run });
    return () => this.#timers.delete(id);
  }

  /** Let `ms` pass: timers run in the order of their times, those they set included. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).toSorted((a, b) => a[1].at - b[1].at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].run();
    }
    this.#now = end;
  }
}
