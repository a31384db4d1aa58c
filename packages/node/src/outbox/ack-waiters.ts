import { abortable } from "../bell.ts";

interface AckWaiter {
  seq: number;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
}

/** Those who wait for the gateway to have an event, lowest sequence first. */
export class AckWaiters {
  readonly #waiting: AckWaiter[] = [];

  /** Resolves when {@link AckWaiters.reached} names `seq` or a later one. @throws rethrows `signal.reason`, what {@link AckWaiters.fail} gave */
  async wait(seq: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: AckWaiter = { seq, resolve, reject };
    this.#waiting.splice(this.#place(seq), 0, waiter);
    try {
      await abortable(promise, signal);
    } catch (cause) {
      const index = this.#waiting.indexOf(waiter);
      if (index !== -1) this.#waiting.splice(index, 1);
      throw cause;
    }
  }

  /** The gateway has everything up to `seq`. */
  reached(seq: number): void {
    let count = 0;
    while (count < this.#waiting.length && (this.#waiting[count]?.seq ?? Number.POSITIVE_INFINITY) <= seq) count += 1;
    for (const waiter of this.#waiting.splice(0, count)) waiter.resolve();
  }

  /** Every event now has a number lower by `by`. */
  renumber(by: number): void {
    for (const waiter of this.#waiting) waiter.seq -= by;
  }

  /** No acknowledgement will come any more. */
  fail(cause: unknown): void {
    for (const waiter of this.#waiting.splice(0)) waiter.reject(cause);
  }

  /** Waiters come nearly in order: the place is found from the back. */
  #place(seq: number): number {
    let index = this.#waiting.length;
    while (index > 0 && (this.#waiting[index - 1]?.seq ?? 0) > seq) index -= 1;
    return index;
  }
}
