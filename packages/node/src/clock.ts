import { setTimeout as delay } from "node:timers/promises";

/** Time and chance as the node sees them; tests pass their own. */
export interface Clock {
  /** Wall clock, Unix milliseconds; may jump. */
  now(): number;
  /** Never goes back; what it does while the machine sleeps depends on the machine. Milliseconds. */
  monotonic(): number;
  /** 0 up to, not including, 1. */
  random(): number;
  /**
   * Resolve after `ms` by the monotonic clock.
   * @throws rethrows `signal.reason`
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The real one. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (cause) {
      signal?.throwIfAborted();
      throw cause;
    }
  },
};
