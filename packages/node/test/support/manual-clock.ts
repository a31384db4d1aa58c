import type { Clock } from "../../src/clock.ts";

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** Time that a test moves by hand. */
export class ManualClock implements Clock {
  chance = 0;
  #wall = 1_800_000_000_000;
  #steady = 0;
  readonly #sleepers = new Set<Sleeper>();

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#steady;
  }

  random(): number {
    return this.chance;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper: Sleeper = { at: this.#steady + ms, wake: resolve };
    const onAbort = (): void => reject(signal?.reason);
    this.#sleepers.add(sleeper);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      this.#sleepers.delete(sleeper);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** How long each sleeper still has, shortest first. */
  get sleeping(): number[] {
    return Array.from(this.#sleepers, ({ at }) => at - this.#steady).sort((a, b) => a - b);
  }

  /** Both clocks go on; sleepers wake in order, each with the time it asked for. */
  async advance(ms: number): Promise<void> {
    const end = this.#steady + ms;
    for (;;) {
      const next = Math.min(...Array.from(this.#sleepers, ({ at }) => at));
      if (next > end) break;
      this.#step(Math.max(next, this.#steady) - this.#steady);
      for (const sleeper of this.#sleepers) if (sleeper.at <= this.#steady) sleeper.wake();
      await settle();
    }
    this.#step(end - this.#steady);
    await settle();
  }

  /** The machine sleeps: only the wall clock goes on. */
  suspend(ms: number): void {
    this.#wall += ms;
  }

  #step(ms: number): void {
    this.#steady += ms;
    this.#wall += ms;
  }
}

/** Let everything that is ready run: the disk too, whose callbacks come as macrotasks. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
