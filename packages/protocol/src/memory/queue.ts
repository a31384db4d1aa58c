/** Values for one consumer who may come later; iterating waits for more until {@link AsyncQueue.close}. */
export class AsyncQueue<T> implements AsyncIterable<T> {
  #values: T[] = [];
  #closed = false;
  #wake: (() => void) | undefined;
  readonly #onLeave: (() => void) | undefined;

  /** @param onLeave called when the consumer leaves its loop before the end */
  constructor(onLeave?: () => void) {
    this.#onLeave = onLeave;
  }

  push(value: T): void {
    if (this.#closed) return;
    this.#values.push(value);
    this.#wake?.();
  }

  /** No more values; those queued are still given out. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let left = true;
    try {
      for (;;) {
        const value = this.#values.shift();
        if (value !== undefined) yield value;
        else if (this.#closed) break;
        else await this.#more();
      }
      left = false;
    } finally {
      if (left) this.#onLeave?.();
    }
  }

  #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }
}
