import { TransportError } from "../errors.ts";

interface Waiter {
  resolve(): void;
  reject(error: TransportError): void;
}

/** What one side of a pipe may still do. */
type Side =
  | { readonly kind: "open" }
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly error: TransportError };

const OPEN: Side = { kind: "open" };
const ENDED: Side = { kind: "ended" };

/**
 * One direction of a stream: a queue of byte chunks with a window. The two ends fail apart, as they do when a network
 * lies between them.
 */
export class Pipe {
  readonly #windowBytes: number;
  #chunks: Uint8Array[] = [];
  #queuedBytes = 0;
  #writer: Side = OPEN;
  #reader: Side = OPEN;
  #waitingReaders: Waiter[] = [];
  #waitingWriters: Waiter[] = [];

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
  }

  /** Nothing more will be written, whyever. */
  get finished(): boolean {
    return this.#writer.kind !== "open";
  }

  /** @throws {TransportError} `STREAM_ENDED` after {@link finish}, or what {@link failWriter} was given */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#writer.kind === "failed") throw this.#writer.error;
    if (this.#writer.kind === "ended") throw new TransportError("STREAM_ENDED", "this side of the stream has ended");
    if (bytes.length === 0) return undefined;
    // The caller may reuse its buffer, and the reader may keep ours.
    this.#chunks.push(bytes.slice());
    this.#queuedBytes += bytes.length;
    wake(this.#waitingReaders);
    return this.#queuedBytes < this.#windowBytes ? undefined : this.#drained();
  }

  /** No more writes; what is queued can still be read. Idempotent. */
  finish(): void {
    if (this.#writer.kind !== "open") return;
    this.#writer = ENDED;
    wake(this.#waitingReaders);
  }

  /** The next bytes, put into `into` where that is given; `null` after the last. */
  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    if (into?.length === 0) throw new RangeError("cannot read into nothing");
    for (;;) {
      if (this.#chunks.length > 0) return into === undefined ? this.#takeQueued() : this.#takeInto(into);
      if (this.#reader.kind === "failed") throw this.#reader.error;
      if (this.#writer.kind === "ended") return null;
      await wait(this.#waitingReaders);
    }
  }

  /** Reads fail from now on; with `keep` only after what is queued. The first failure stays. */
  failReader(error: TransportError, keep: boolean): void {
    if (!keep) {
      this.#chunks = [];
      this.#queuedBytes = 0;
    }
    // A reader that has all there is learns nothing of how the stream went on.
    if (this.#reader.kind !== "open" || (keep && this.#writer.kind === "ended")) return;
    this.#reader = { kind: "failed", error };
    wake(this.#waitingReaders);
  }

  /** Writes fail from now on, waiting ones too. The first failure stays, and so does an end. */
  failWriter(error: TransportError): void {
    if (this.#writer.kind === "open") this.#writer = { kind: "failed", error };
    for (const waiter of this.#waitingWriters.splice(0)) waiter.reject(error);
  }

  /** All that is queued, as one: a network does not keep writes apart either, so nobody gets used to it. */
  #takeQueued(): Uint8Array {
    const only = this.#chunks.length === 1 ? this.#chunks[0] : undefined;
    const bytes = only ?? new Uint8Array(this.#queuedBytes);
    if (only === undefined) {
      let at = 0;
      for (const chunk of this.#chunks) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
    }
    this.#chunks = [];
    this.#queuedBytes = 0;
    wake(this.#waitingWriters);
    return bytes;
  }

  #takeInto(into: Uint8Array): Uint8Array {
    let at = 0;
    for (let chunk = this.#chunks[0]; chunk !== undefined && at < into.length; chunk = this.#chunks[0]) {
      const part = chunk.subarray(0, into.length - at);
      into.set(part, at);
      at += part.length;
      if (part.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.length);
    }
    this.#queuedBytes -= at;
    if (this.#queuedBytes < this.#windowBytes) wake(this.#waitingWriters);
    return into.subarray(0, at);
  }

  #drained(): Promise<void> {
    const drained = wait(this.#waitingWriters);
    // A writer that has stopped caring must not bring the process down when the connection goes.
    drained.catch(() => undefined);
    return drained;
  }
}

function wait(waiters: Waiter[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  waiters.push({ resolve, reject });
  return promise;
}

function wake(waiters: Waiter[]): void {
  for (const waiter of waiters.splice(0)) waiter.resolve();
}
