/**
 * Wakes whoever waits. Look at the condition, and if it does not hold, `await wait()` in the same tick: then no ring is missed.
 */
export class Bell {
  #next = Promise.withResolvers<void>();
  #waiting = false;

  /** Wake all who wait now. */
  ring(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  /**
   * Resolves with the next ring.
   * @throws rethrows `signal.reason`
   */
  async wait(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.#waiting = true;
    if (signal === undefined) return this.#next.promise;
    await abortable(this.#next.promise, signal);
  }
}

/**
 * `promise`, or the reason of `signal` if that comes first. The work behind `promise` goes on; only the waiting ends.
 * @throws rethrows `signal.reason`, and what `promise` rejects with
 */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(signal.reason);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
