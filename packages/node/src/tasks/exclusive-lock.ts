interface Waiting {
  readonly exclusive: boolean;
  readonly admit: () => void;
}

/** Shared by many or held by one, in the order of asking: a stream of sharers cannot starve one who wants it alone. */
export class ExclusiveLock {
  readonly #queue: Waiting[] = [];
  #sharers = 0;
  #held = false;

  /**
   * Wait for the lock.
   * @returns gives it back; call it once
   * @throws rethrows `signal.reason`
   */
  async acquire(exclusive: boolean, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { exclusive, admit: resolve };
    this.#queue.push(waiting);
    const onAbort = (): void => {
      const index = this.#queue.indexOf(waiting);
      // Already admitted: the holder gives it back like any other.
      if (index === -1) return;
      this.#queue.splice(index, 1);
      reject(signal.reason);
      this.#admit();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#admit();
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    return () => this.#release(exclusive);
  }

  #release(exclusive: boolean): void {
    if (exclusive) this.#held = false;
    else this.#sharers -= 1;
    this.#admit();
  }

  #admit(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (this.#held || (next.exclusive && this.#sharers > 0)) return;
      this.#queue.shift();
      if (next.exclusive) this.#held = true;
      else this.#sharers += 1;
      next.admit();
    }
  }
}
