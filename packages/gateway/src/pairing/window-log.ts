import type { WindowUpdate } from "./service.ts";

/**
 * What happened in one window, from its beginning. Any number of readers each see all of it, whenever they come. A window sees few changes (a code allows three wrong proofs), and the
 * log refuses to grow past what that can be.
 */
export class WindowLog {
  readonly #updates: WindowUpdate[] = [];
  #changed = Promise.withResolvers<void>();
  #ended = false;

  /** Updates kept. Devices that come and go without proving anything could otherwise fill memory. */
  static readonly maxUpdates = 256;

  /** Whether nothing more will happen. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The latest update. */
  get last(): WindowUpdate | undefined {
    return this.#updates.at(-1);
  }

  /** Add an update; after the end, nothing. */
  push(update: WindowUpdate): void {
    if (this.#ended) return;
    if (this.#updates.length < WindowLog.maxUpdates) this.#updates.push(update);
    else this.#updates[WindowLog.maxUpdates - 1] = update;
    this.#wake();
  }

  /** Nothing more will happen. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Every update, then live ones, until the end. @throws `signal.reason` once aborted */
  async *read(signal?: AbortSignal): AsyncGenerator<WindowUpdate, void, undefined> {
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    const onAbort = () => aborted.reject(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      for (let at = 0; ;) {
        const update = this.#updates[at];
        if (update !== undefined) {
          at += 1;
          yield update;
        } else if (this.#ended) {
          return;
        } else {
          await Promise.race([this.#changed.promise, aborted.promise]);
        }
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
