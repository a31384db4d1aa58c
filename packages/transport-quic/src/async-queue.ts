/**
 * A queue between the endpoint's turns and one `for await` loop. It has no bound of its own: what goes in is bounded by the connection
 * semaphore or by the stream limit.
 */
export class AsyncQueue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  readonly #onReturn: () => void;
  #waiting: PromiseWithResolvers<void> | undefined;
  #state: "open" | "ended" | "abandoned" = "open";

  /** @param onReturn called when the consumer leaves its loop */
  constructor(onReturn: () => void = () => {}) {
    this.#onReturn = onReturn;
  }

  /** Add an item; `false` where nobody will take it. */
  push(item: T): boolean {
    if (this.#state !== "open") return false;
    this.#items.push(item);
    this.#wake();
    return true;
  }

  /** No more items. Those that wait can still be taken. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#wake();
  }

  #wake(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    while (this.#items.length === 0 && this.#state === "open") {
      this.#waiting ??= Promise.withResolvers<void>();
      await this.#waiting.promise;
    }
    const item = this.#items.shift();
    return item === undefined ? { done: true, value: undefined } : { done: false, value: item };
  }

  /** One consumer at a time. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: () => this.#next(),
      return: () => {
        this.#onReturn();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /** Nobody takes items any more: later pushes are refused, what waits is given back. */
  abandon(): T[] {
    this.#state = "abandoned";
    this.#wake();
    return this.#items.splice(0);
  }
}
