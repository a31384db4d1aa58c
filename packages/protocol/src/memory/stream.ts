import { TransportError } from "../errors.ts";
import type { ByteStream } from "../transport/port.ts";
import type { Pipe } from "./pipe.ts";

/** What a stream tells the connection it belongs to. */
export interface StreamOwner {
  /** Before the first bytes, the end or a reset leave: the peer learns of a stream by them, as in QUIC. */
  announce(): void;
  /** Perhaps the last open direction closed. */
  changed(): void;
  sent(bytes: number): void;
  received(bytes: number): void;
}

/** One end of a stream in memory. */
export class MemoryStream implements ByteStream {
  readonly id: number;
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;
  readonly #owner: StreamOwner;
  #readToEnd = false;

  constructor(id: number, pipes: { readonly incoming: Pipe; readonly outgoing: Pipe }, owner: StreamOwner) {
    this.id = id;
    this.#incoming = pipes.incoming;
    this.#outgoing = pipes.outgoing;
    this.#owner = owner;
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    const bytes = await this.#incoming.read(into);
    if (bytes === null) this.#readToEnd = true;
    else this.#owner.received(bytes.length);
    return bytes;
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    const room = this.#outgoing.write(bytes);
    this.#owner.announce();
    this.#owner.sent(bytes.length);
    return room;
  }

  end(bytes?: Uint8Array): Promise<void> | undefined {
    if (this.#outgoing.finished) return undefined;
    const room = bytes === undefined ? undefined : this.write(bytes);
    this.#outgoing.finish();
    this.#owner.announce();
    this.#owner.changed();
    return room;
  }

  reset(code: number): void {
    if (this.#outgoing.finished && this.#readToEnd) return;
    const error = new TransportError("STREAM_RESET", `the stream was reset with code ${code}`, { resetCode: code });
    const finished = this.#outgoing.finished;
    this.#incoming.failReader(error, false);
    this.#incoming.failWriter(error);
    this.#outgoing.failWriter(error);
    // What was ended before has arrived: the peer may still read it.
    this.#outgoing.failReader(error, finished);
    this.#owner.announce();
    this.#owner.changed();
  }

  /** The connection is gone. What had arrived by then can be read unless it was this side that closed. */
  connectionClosed(error: TransportError, keep: boolean): void {
    this.#incoming.failReader(error, keep);
    this.#outgoing.failWriter(error);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const bytes = await this.read();
      if (bytes === null) return;
      yield bytes;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reset(0);
  }
}
