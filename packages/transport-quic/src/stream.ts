import { CLOSE_CODES } from "@quaymesh/protocol";
import type { ByteStream, TransportError } from "@quaymesh/protocol";
import type { NativeConnection } from "./binding.ts";
import type { ReadHold } from "./lone-fins.ts";
import type { CorkPool, ReadSlab } from "./slabs.ts";
import { StreamReader } from "./stream-reader.ts";
import { StreamWriter } from "./stream-writer.ts";

/** What the two halves of a stream need of their connection. */
export interface StreamHost {
  readonly native: NativeConnection;
  readonly reads: ReadSlab;
  readonly corks: CorkPool;
  /** There is something to tell the peer: have datagrams made this turn. */
  wake(): void;
  /** Bytes were read: the peer's window may be opened this turn. */
  consumed(): void;
  /** Bytes were handed to quiche. */
  spoke(): void;
  /** `writer` gathered bytes: uncork it when the turn ends. */
  corked(writer: StreamWriter): void;
  /** `writer` waits for room. */
  blocked(writer: StreamWriter): void;
  /** A half ended or failed. */
  settled(): void;
  /** Whether quiche ever knew the stream: the peer opened it, or something was sent on it. */
  existed(): boolean;
  /** `reader` waits for bytes. */
  parked(reader: StreamReader): void;
  /** The peer reset its side: it may have asked us to stop too. */
  peerReset(code: number): void;
  /** Nothing is left that could carry the writer's FIN. */
  endAlone(): void;
}

/** What a stream needs of its connection. */
export interface StreamParent extends Omit<StreamHost, "settled" | "existed" | "peerReset" | "endAlone"> {
  /** Both halves are done. */
  finished(id: number): void;
  /** The peer gave up a stream that was being read. */
  streamReset(): void;
  /** End the write side with no data; `reads` is absent where the read side is over. */
  endAlone(id: number, reads: ReadHold | undefined): void;
}

/** A bidirectional QUIC stream. Its halves turn to the stream itself: a request has one of its own, so that each object fewer counts. */
export class QuicStream implements ByteStream, StreamHost {
  readonly id: number;
  readonly native: NativeConnection;
  readonly reads: ReadSlab;
  readonly corks: CorkPool;
  readonly #parent: StreamParent;
  readonly #isOurs: boolean;
  readonly #reader: StreamReader;
  readonly #writer: StreamWriter;

  constructor(id: number, parent: StreamParent, isOurs: boolean) {
    this.id = id;
    this.native = parent.native;
    this.reads = parent.reads;
    this.corks = parent.corks;
    this.#parent = parent;
    this.#isOurs = isOurs;
    this.#reader = new StreamReader(id, this);
    this.#writer = new StreamWriter(id, this);
  }

  read(into?: Uint8Array): Promise<Uint8Array | null> {
    return this.#reader.read(into);
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    return this.#writer.write(bytes);
  }

  end(bytes?: Uint8Array): Promise<void> | undefined {
    return this.#writer.end(bytes);
  }

  reset(code: number): void {
    this.#writer.reset(code);
    this.#reader.stop(code);
  }

  /** quiche says the stream is readable. */
  readable(): void {
    this.#reader.readable();
  }

  /** The connection is over. @param readOut whether what arrived before may still be read */
  connectionClosed(error: TransportError, readOut: boolean): void {
    this.#writer.fail(error);
    if (readOut) this.#reader.drain(error);
    else this.#reader.fail(error);
  }

  /** Leaving the loop tells the peer to stop sending. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (let chunk = await this.read(); chunk !== null; chunk = await this.read()) yield chunk;
    } finally {
      this.#reader.stop(CLOSE_CODES.ok);
    }
  }

  /** Releases the stream: an unfinished write side is reset, an unread read side stopped. */
  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#writer.isEnded) this.#writer.reset(CLOSE_CODES.ok);
    this.#reader.stop(CLOSE_CODES.ok);
    return Promise.resolve();
  }

  // StreamHost

  wake(): void {
    this.#parent.wake();
  }

  consumed(): void {
    this.#parent.consumed();
  }

  spoke(): void {
    this.#parent.spoke();
  }

  corked(writer: StreamWriter): void {
    this.#parent.corked(writer);
  }

  blocked(writer: StreamWriter): void {
    this.#parent.blocked(writer);
  }

  settled(): void {
    if (this.#reader.isDone && this.#writer.isDone) this.#parent.finished(this.id);
  }

  existed(): boolean {
    return !this.#isOurs || this.#writer.hasSent;
  }

  parked(reader: StreamReader): void {
    this.#parent.parked(reader);
  }

  peerReset(code: number): void {
    this.#writer.checkStopped(code);
    this.#parent.streamReset();
  }

  endAlone(): void {
    this.#parent.endAlone(this.id, this.#reader.isDone ? undefined : this.#reader);
  }
}
