type Result<T> = IteratorResult<T, undefined>;

const END = { done: true, value: undefined } as const;

/**
 * A queue between the endpoint's turns and one `for await` loop. It has no bound of its own: what goes in is bounded by the connection
 * semaphore or by the stream limit. It is its own iterator: there is one consumer, and every idle connection holds a queue that waits.
 */
export class AsyncQueue<T> implements AsyncIterableIterator<T, undefined> {
  readonly #items: T[] = [];
  readonly #onReturn: () => void;
  /** The consumer, while it waits: then nothing is queued. */
  #waiting: PromiseWithResolvers<Result<T>> | undefined;
  #state: "open" | "ended" | "abandoned" = "open";

  /** @param onReturn called when the consumer leaves its loop */
  constructor(onReturn: () => void = () => {}) {
    this.#onReturn = onReturn;
  }

  /** Add an item; `false` where nobody will take it. */
  push(item: T): boolean {
    if (this.#state !== "open") return false;
    if (this.#waiting === undefined) this.#items.push(item);
    else this.#answer({ done: false, value: item });
    return true;
  }

  /** No more items. Those that wait can still be taken. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#answer(END);
  }

  #answer(result: Result<T>): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(result);
  }

  /** One consumer at a time. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next item, once there is one. */
  next(): Promise<Result<T>> {
    // Asked again before there was an answer: that one comes first.
    if (this.#waiting !== undefined) return this.#waiting.promise.then(() => this.next());
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve({ done: false, value: item });
    if (this.#state !== "open") return Promise.resolve(END);
    this.#waiting = Promise.withResolvers<Result<T>>();
    return this.#waiting.promise;
  }

  /** The consumer leaves its loop. */
  return(): Promise<Result<T>> {
    this.#onReturn();
    return Promise.resolve(END);
  }

  /** Nobody takes items any more: later pushes are refused, what waits is given back. */
  abandon(): T[] {
    this.#state = "abandoned";
    this.#answer(END);
    return this.#items.splice(0);
  }
}
