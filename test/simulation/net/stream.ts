import { TransportError, type ByteStream } from "@quaymesh/protocol";
import { Pipe } from "../../../packages/protocol/src/memory/pipe.ts";

/** What a stream needs of its end of the connection. `tell` brings a message to the same stream of the other end, once or more often. */
export interface StreamLine {
  readonly windowBytes: number;
  tell(message: StreamMessage): void;
}

/** What crosses between the two ends of a stream; each may come late, twice, and out of order. */
export type StreamMessage =
  | { readonly kind: "data"; readonly at: number; readonly bytes: Uint8Array; readonly fin: boolean }
  | { readonly kind: "credit"; readonly through: number }
  | { readonly kind: "reset"; readonly code: number };

const NOTHING = new Uint8Array();

/** One end of a simulated stream: bytes are put back into their order, and a writer waits for its reader. */
export class SimStream implements ByteStream {
  readonly id: number;
  readonly #line: StreamLine;
  readonly #incoming = new Pipe(Infinity);
  readonly #early = new Map<number, Extract<StreamMessage, { kind: "data" }>>();
  #received = 0;
  #consumed = 0;
  #credited: number;
  #sent = 0;
  #mayUse: number;
  #readToEnd = false;
  #writeError: TransportError | undefined;
  #ended = false;
  #room: PromiseWithResolvers<void> | undefined;

  constructor(id: number, line: StreamLine) {
    this.id = id;
    this.#line = line;
    this.#mayUse = line.windowBytes;
    this.#credited = line.windowBytes;
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    const bytes = await this.#incoming.read(into);
    if (bytes === null) {
      this.#readToEnd = true;
      return null;
    }
    this.#consumed += bytes.length;
    const through = this.#consumed + this.#line.windowBytes;
    // Half a window at a time, as transports do.
    if (through - this.#credited >= this.#line.windowBytes / 2) {
      this.#credited = through;
      this.#line.tell({ kind: "credit", through });
    }
    return bytes;
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    return this.#send(bytes, false);
  }

  end(bytes: Uint8Array = NOTHING): Promise<void> | undefined {
    if (this.#ended || this.#writeError !== undefined) return undefined;
    return this.#send(bytes, true);
  }

  reset(code: number): void {
    if (this.#ended && this.#readToEnd) return;
    this.#line.tell({ kind: "reset", code });
    this.#fail(resetError(code), { keep: false });
  }

  /** A message of the other end has arrived. */
  hear(message: StreamMessage): void {
    switch (message.kind) {
      case "data":
        return this.#onData(message);
      case "credit":
        this.#mayUse = Math.max(this.#mayUse, message.through);
        if (this.#sent < this.#mayUse) this.#room?.resolve();
        return undefined;
      case "reset":
        return this.#fail(resetError(message.code), { keep: this.#incoming.finished });
      default:
        return message satisfies never;
    }
  }

  /** The connection is over. With `keep`, what has arrived can still be read. */
  connectionClosed(error: TransportError, keep: boolean): void {
    this.#fail(error, { keep });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (let bytes = await this.read(); bytes !== null; bytes = await this.read()) yield bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reset(0);
  }

  #send(bytes: Uint8Array, fin: boolean): Promise<void> | undefined {
    if (this.#writeError !== undefined) throw this.#writeError;
    if (this.#ended) throw new TransportError("STREAM_ENDED", "this side of the stream has ended");
    this.#ended = fin;
    this.#line.tell({ kind: "data", at: this.#sent, bytes: bytes.slice(), fin });
    this.#sent += bytes.length;
    if (this.#sent < this.#mayUse) return undefined;
    this.#room = Promise.withResolvers<void>();
    // A writer that has stopped caring is no error.
    this.#room.promise.catch(() => undefined);
    return this.#room.promise;
  }

  #onData(message: Extract<StreamMessage, { kind: "data" }>): void {
    if (message.at < this.#received || this.#incoming.finished) return;
    this.#early.set(message.at, message);
    for (let next = this.#early.get(this.#received); next !== undefined; next = this.#early.get(this.#received)) {
      this.#early.delete(next.at);
      this.#received += next.bytes.length;
      void this.#incoming.write(next.bytes);
      if (next.fin) return this.#incoming.finish();
      if (next.bytes.length === 0) return undefined;
    }
    return undefined;
  }

  #fail(error: TransportError, { keep }: { readonly keep: boolean }): void {
    this.#incoming.failReader(error, keep);
    this.#incoming.failWriter(error);
    this.#writeError ??= error;
    this.#room?.reject(error);
  }
}

function resetError(code: number): TransportError {
  return new TransportError("STREAM_RESET", `the stream was reset with code ${String(code)}`, { resetCode: code });
}
