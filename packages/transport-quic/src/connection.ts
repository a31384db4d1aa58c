import { CLOSE_CODES } from "@quaymesh/protocol";
import type {
  ByteStream,
  CloseInfo,
  Connection,
  ConnectionStats,
  PeerIdentity,
  SocketAddress,
} from "@quaymesh/protocol";
import { unmapped } from "./address.ts";
import type { NativeConnection } from "./binding.ts";
import { LoneFins } from "./lone-fins.ts";
import type { ReadHold } from "./lone-fins.ts";
import type { Link, LinkOwner } from "./link.ts";
import type { CorkPool, ReadSlab, StreamMemory } from "./slabs.ts";
import { StreamTable } from "./stream-table.ts";
import type { StreamParent } from "./stream.ts";
import type { StreamReader } from "./stream-reader.ts";
import type { Vigil } from "./vigil.ts";
import type { StreamWriter } from "./stream-writer.ts";

/** Options of {@link QuicConnection}. */
export interface ConnectionOptions {
  readonly peer: PeerIdentity;
  readonly isDialer: boolean;
  readonly idleTimeoutMs: number;
  /** Close with `timeout` where the peer opens no stream for this long; `Infinity`: wait for ever. */
  readonly firstByteTimeoutMs: number;
  /** Told what is said and heard. */
  readonly vigil?: Pick<Vigil, "flushed" | "spoke" | "answered">;
  /** Awaited by disposal: whatever the connection alone used is given back. */
  readonly release?: () => Promise<void>;
}

const MAX_REASON_BYTES = 128;

/** An authenticated QUIC connection. */
export class QuicConnection implements Connection, LinkOwner, StreamParent {
  readonly peer: PeerIdentity;
  readonly native: NativeConnection;
  readonly reads: ReadSlab;
  readonly corks: CorkPool;
  readonly #link: Link;
  readonly #streams: StreamTable;
  readonly #loneFins: LoneFins;
  readonly #over = Promise.withResolvers<CloseInfo>();
  readonly #release: (() => Promise<void>) | undefined;
  readonly #vigil: ConnectionOptions["vigil"];
  /** When a peer that has opened no stream is sent away. */
  #firstStreamBy: number;
  /** When ends that quiche does not announce are looked for again. */
  #endsDueAt = Infinity;
  #lastAddress: SocketAddress = { host: "", port: 0 };

  constructor(link: Link, memory: StreamMemory, options: ConnectionOptions) {
    this.peer = options.peer;
    this.native = link.native;
    this.reads = memory.reads;
    this.corks = memory.corks;
    this.#link = link;
    this.#release = options.release;
    this.#vigil = options.vigil;
    this.#streams = new StreamTable(this, options.isDialer);
    this.#loneFins = new LoneFins(link.native, options.idleTimeoutMs);
    this.#firstStreamBy = performance.now() + options.firstByteTimeoutMs;
    link.adopt(this);
    link.expireAt(this.#firstStreamBy);
  }

  get closed(): Promise<CloseInfo> {
    return this.#over.promise;
  }

  get incomingStreams(): AsyncIterable<ByteStream> {
    return this.#streams.incoming;
  }

  // The path quiche validated and uses; the source of the latest datagram may be anybody's.
  get remoteAddress(): SocketAddress {
    const active = this.native.pathStats().find((path) => path.active);
    if (active !== undefined) {
      this.#lastAddress = { host: unmapped(active.peerHost.host), port: active.peerHost.port };
    }
    return this.#lastAddress;
  }

  openStream(options?: { readonly signal?: AbortSignal }): Promise<ByteStream> {
    return this.#streams.open(options?.signal);
  }

  close(code: number, reason = ""): void {
    const text = cutToBytes(reason, MAX_REASON_BYTES);
    const info: CloseInfo = { kind: "application", code, reason: text, byPeer: false };
    this.#loneFins.sendAll(performance.now());
    this.#link.flush();
    this.#link.close(true, code, Buffer.from(text), info);
  }

  stats(): ConnectionStats {
    const { sentBytes, recvBytes, lost } = this.native.stats();
    const active = this.native.pathStats().find((path) => path.active);
    return {
      rttMs: active?.rtt ?? 0,
      bytesSent: sentBytes,
      bytesReceived: recvBytes,
      packetsLost: lost,
      congestionWindowBytes: active?.cwnd ?? 0,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close(CLOSE_CODES.ok);
    await this.closed;
    await this.#release?.();
  }

  // LinkOwner

  process(): void {
    const isReadable = this.native.isReadable();
    // Before delivery: what comes back for it is said after.
    if (isReadable) this.#vigil?.answered();
    this.#streams.process(isReadable);
    if (this.#firstStreamBy !== Infinity && this.#streams.peerHasSpoken) this.#firstStreamBy = Infinity;
    this.#endsDueAt = this.#streams.checkEnds(performance.now());
  }

  uncork(): void {
    this.#streams.uncork();
  }

  expired(): void {
    if (performance.now() >= this.#firstStreamBy - 1) this.close(CLOSE_CODES.timeout, "no stream was opened");
    else this.#link.wake();
  }

  ended(info: CloseInfo): void {
    const byUs = (info.kind === "application" && !info.byPeer) || info.kind === "local";
    this.#streams.fail(info, !byUs);
    this.#over.resolve(info);
  }

  // StreamParent

  wake(): void {
    this.#link.wake();
  }

  spoke(): void {
    this.#vigil?.spoke();
    this.#link.wake();
  }

  parked(reader: StreamReader): void {
    this.#streams.addParked(reader);
  }

  corked(writer: StreamWriter): void {
    this.#streams.addCorked(writer);
    this.#link.wake();
  }

  blocked(writer: StreamWriter): void {
    this.#streams.addBlocked(writer);
  }

  flushed(timeoutMs: number | null): boolean {
    this.#vigil?.flushed(timeoutMs);
    const hasMore = this.#loneFins.step(timeoutMs, performance.now());
    const dueAt = Math.min(this.#endsDueAt, this.#loneFins.dueAt());
    if (dueAt !== Infinity) this.#link.expireAt(Math.min(dueAt, this.#firstStreamBy));
    return hasMore;
  }

  endAlone(id: number, reads: ReadHold | undefined): void {
    this.#loneFins.add(id, reads, performance.now());
    this.#link.wake();
  }

  finished(id: number): void {
    this.#streams.remove(id);
  }
}

/** The longest prefix of `text` that is whole characters and at most `maxBytes` of UTF-8. */
export function cutToBytes(text: string, maxBytes: number): string {
  const out = new Uint8Array(maxBytes);
  const { read } = new TextEncoder().encodeInto(text, out);
  return text.slice(0, read);
}
