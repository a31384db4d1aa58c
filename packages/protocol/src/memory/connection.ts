import { TransportError } from "../errors.ts";
import type { CloseInfo } from "../transport/close.ts";
import type { ByteStream, Connection, PeerIdentity, SocketAddress } from "../transport/port.ts";
import type { ConnectionStats } from "../transport/stats.ts";
import { Pipe } from "./pipe.ts";
import { AsyncQueue } from "./queue.ts";
import { MemoryStream, type StreamOwner } from "./stream.ts";

/** What one end of a connection is made of. */
export interface EndOptions {
  readonly peer: PeerIdentity;
  readonly remoteAddress: SocketAddress;
  readonly localAddress: SocketAddress;
  /** Streams this end may have open at once: the other end's limit. */
  readonly maxStreams: number;
  readonly windowBytes: number;
  /** 0 for the dialer, 1 for the listener: the low bit of the stream ids it opens (RFC 9000 section 2.1). */
  readonly side: 0 | 1;
}

const CLOSE_REASON_BYTES = 128;

/** One end of a connection in memory. Made in pairs by {@link connectPair}. */
export class MemoryConnection implements Connection {
  readonly peer: PeerIdentity;
  readonly remoteAddress: SocketAddress;
  readonly closed: Promise<CloseInfo>;
  readonly incomingStreams: AsyncIterable<ByteStream>;
  readonly #options: EndOptions;
  readonly #incoming: AsyncQueue<MemoryStream>;
  readonly #streams = new Set<MemoryStream>();
  readonly #slotWaiters: (() => void)[] = [];
  readonly #settle: (info: CloseInfo) => void;
  #other: MemoryConnection | undefined;
  #close: CloseInfo | undefined;
  #refusesStreams = false;
  #openedStreams = 0;
  #nextStream: number;
  #bytesSent = 0;
  #bytesReceived = 0;

  constructor(options: EndOptions) {
    const { promise, resolve } = Promise.withResolvers<CloseInfo>();
    this.#options = options;
    this.peer = options.peer;
    this.remoteAddress = options.remoteAddress;
    this.closed = promise;
    this.#settle = resolve;
    this.#nextStream = options.side;
    this.#incoming = new AsyncQueue(() => {
      this.#refusesStreams = true;
    });
    this.incomingStreams = this.#incoming;
  }

  /** Join two ends; once, before either is given out. */
  join(other: MemoryConnection): void {
    this.#other = other;
    other.#other = this;
  }

  async openStream(options?: { readonly signal?: AbortSignal }): Promise<ByteStream> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    while (this.#close === undefined && this.#openedStreams >= this.#options.maxStreams) await this.#slot(signal);
    const other = this.#other;
    if (this.#close !== undefined || other === undefined) throw closedError(this.#close ?? { kind: "local" });
    this.#openedStreams++;
    return this.#createStream(other);
  }

  close(code: number, reason = ""): void {
    const cut = cutUtf8(reason, CLOSE_REASON_BYTES);
    const other = this.#other;
    this.end({ kind: "application", code, reason: cut, byPeer: false }, false);
    other?.end({ kind: "application", code, reason: cut, byPeer: true }, true);
  }

  /** Settle this end alone. The first end stays. With `keep`, what has arrived can still be read. */
  end(info: CloseInfo, keep: boolean): void {
    if (this.#close !== undefined) return;
    this.#close = info;
    const error = closedError(info);
    for (const stream of this.#streams) stream.connectionClosed(error, keep);
    this.#streams.clear();
    this.#incoming.close();
    for (const wake of this.#slotWaiters.splice(0)) wake();
    this.#settle(info);
  }

  stats(): ConnectionStats {
    const { localAddress, remoteAddress, windowBytes } = this.#options;
    // No packets, no path, and no clock to tell an age by.
    return {
      localAddress,
      remoteAddress,
      ageMs: 0,
      rttMs: 0,
      congestionWindowBytes: windowBytes,
      datagramBytes: 0,
      bytesSent: this.#bytesSent,
      bytesReceived: this.#bytesReceived,
      packetsSent: 0,
      packetsReceived: 0,
      packetsLost: 0,
      bytesRetransmitted: 0,
      deliveryBytesPerSecond: 0,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close(0);
  }

  #createStream(other: MemoryConnection): MemoryStream {
    const id = this.#nextStream;
    this.#nextStream += 4;
    const there = new Pipe(this.#options.windowBytes);
    const back = new Pipe(this.#options.windowBytes);
    let announced = false;
    let released = false;
    const changed = (): void => {
      if (released || !there.finished || !back.finished) return;
      released = true;
      this.#streams.delete(near);
      other.#streams.delete(far);
      this.#openedStreams--;
      this.#slotWaiters.shift()?.();
    };
    const announce = (): void => {
      if (announced) return;
      announced = true;
      other.#accept(far);
    };
    const near: MemoryStream = new MemoryStream(
      id,
      { incoming: back, outgoing: there },
      this.#owner(announce, changed),
    );
    const far: MemoryStream = new MemoryStream(
      id,
      { incoming: there, outgoing: back },
      other.#owner(announce, changed),
    );
    this.#streams.add(near);
    return near;
  }

  #accept(stream: MemoryStream): void {
    if (this.#close !== undefined) return;
    if (this.#refusesStreams) {
      stream.reset(0);
      return;
    }
    this.#streams.add(stream);
    this.#incoming.push(stream);
  }

  #owner(announce: () => void, changed: () => void): StreamOwner {
    return {
      announce,
      changed,
      sent: (bytes) => {
        this.#bytesSent += bytes;
      },
      received: (bytes) => {
        this.#bytesReceived += bytes;
      },
    };
  }

  #slot(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const wake = (): void => {
      signal?.removeEventListener("abort", abort);
      resolve();
    };
    const abort = (): void => {
      this.#slotWaiters.splice(this.#slotWaiters.indexOf(wake), 1);
      reject(signal?.reason);
    };
    this.#slotWaiters.push(wake);
    signal?.addEventListener("abort", abort, { once: true });
    return promise;
  }
}

function closedError(info: CloseInfo): TransportError {
  const why = "code" in info ? `${info.kind} code 0x${info.code.toString(16)} ${info.reason}`.trimEnd() : info.kind;
  return new TransportError("CONNECTION_CLOSED", `the connection is closed (${why})`, { close: info });
}

/** The longest beginning of `text` that fits into `maxBytes` of UTF-8. */
function cutUtf8(text: string, maxBytes: number): string {
  const target = new Uint8Array(maxBytes);
  return text.slice(0, new TextEncoder().encodeInto(text, target).read);
}
