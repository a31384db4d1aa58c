/** Wakes readers of the log when it has grown. A hint: what there is to read, and in which order, is the log's own word. */
export class LogHub {
  readonly #listeners = new Set<(latest: number) => void>();
  #latest: number;

  constructor(latest: number) {
    this.#latest = latest;
  }

  /** Newest offset known to be committed. */
  get latest(): number {
    return this.#latest;
  }

  /** The log has grown. */
  appended(latest: number): void {
    if (latest <= this.#latest) return;
    this.#latest = latest;
    for (const listener of this.#listeners) listener(latest);
  }

  /** @returns stop listening */
  listen(listener: (latest: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves once something was committed after `offset`. @throws `signal.reason` once aborted */
  async grownBeyond(offset: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#latest > offset) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const stop = this.listen((latest) => {
      if (latest > offset) resolve();
    });
    try {
      await promise;
    } finally {
      stop();
      signal.removeEventListener("abort", onAbort);
    }
  }
}
