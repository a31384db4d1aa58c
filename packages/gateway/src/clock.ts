/** Time as the gateway sees it. Tests pass one they turn by hand. */
export interface Clock {
  /** Unix milliseconds, wall clock: what rows and messages carry. */
  now(): number;
  /** Milliseconds that never go back: what durations are measured by. */
  monotonicMs(): number;
  /** Call `run` once after `delayMs`; the returned function cancels it. Must not keep the process alive. */
  after(delayMs: number, run: () => void): () => void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs` on `clock`. @throws `signal.reason` once aborted */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
