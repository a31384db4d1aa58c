import type { Writable } from "node:stream";

/** Turns the `false` and `drain` of a Node stream into a promise, with one listener per stream instead of one per wait. */
export class Drain {
  readonly #stream: Writable;
  #waiting: PromiseWithResolvers<void> | null = null;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on("drain", () => {
      this.#waiting?.resolve();
      this.#waiting = null;
    });
    stream.on("close", () => this.#fail(new Error("the stream closed while a write waited")));
    stream.on("error", (error) => this.#fail(error));
  }

  /** Write; a promise means that the stream's buffer is full. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#stream.write(bytes)) return undefined;
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = null;
  }
}
