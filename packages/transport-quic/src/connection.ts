import { CLOSE_CODES } from "@quaymesh/protocol";
import type {
  ByteStream,
  CloseInfo,
  Connection,
  ConnectionStats,
  PeerIdentity,
  SocketAddress,
} from "@quaymesh/protocol";
import { shownHost } from "./address.ts";
import type { NativeConnection } from "./binding.ts";
import { contained } from "./contained.ts";
import { LoneFins } from "./lone-fins.ts";
import type { ReadHold } from "./lone-fins.ts";
import { TOO_MANY_ADDRESSES } from "./link-end.ts";
import type { Link } from "./link.ts";
import type { LinkOwner } from "./link-ports.ts";
import { Overdue } from "./overdue.ts";
import { PeerShare } from "./peer-share.ts";
import type { PeerBounds } from "./peer-share.ts";
import { ConnectionLog } from "./observe/connection-log.ts";
import { readStats } from "./observe/read-stats.ts";
import type { ConnectionTrace } from "./observe/trace.ts";
import type { CorkPool, ReadSlab, StreamMemory } from "./slabs.ts";
import { StreamTable } from "./stream-table.ts";
import type { TableParent } from "./stream-table.ts";
import type { StreamReader } from "./stream-reader.ts";
import type { Vigil } from "./vigil.ts";
import type { StreamWriter } from "./stream-writer.ts";

/** Options of {@link QuicConnection}. */
export interface ConnectionOptions {
  readonly peer: PeerIdentity;
  readonly isDialer: boolean;
  /** Where the peer was when TLS was complete. */
  readonly remoteAddress: SocketAddress;
  readonly idleTimeoutMs: number;
  /** Close with `timeout` where the peer opens no stream for this long; `Infinity`: wait for ever. */
  readonly firstByteTimeoutMs: number;
  /** What a listener allows its peers, and counts of them. */
  readonly bounds?: PeerBounds;
  readonly trace?: ConnectionTrace | undefined;
  readonly attempt: string;
  /** Told what is said and heard. */
  readonly vigil?: Pick<Vigil, "flushed" | "spoke" | "answered">;
  /** Awaited by disposal: whatever the connection alone used is given back. */
  readonly release?: () => Promise<void>;
}

const MAX_REASON_BYTES = 128;

/** An authenticated QUIC connection. */
export class QuicConnection implements Connection, LinkOwner, TableParent {
  readonly peer: PeerIdentity;
  readonly attempt: string;
  readonly native: NativeConnection;
  readonly reads: ReadSlab;
  readonly corks: CorkPool;
  readonly #link: Link;
  readonly #streams: StreamTable;
  readonly #loneFins: LoneFins;
  readonly #overdue: Overdue;
  readonly #over = Promise.withResolvers<CloseInfo>();
  readonly #idleTimeoutMs: number;
  readonly #release: (() => Promise<void>) | undefined;
  readonly #vigil: ConnectionOptions["vigil"];
  readonly #share: PeerShare;
  readonly #log: ConnectionLog;
  readonly #openedAt = performance.now();
  readonly #acceptedFrom: SocketAddress;
  /** When a peer that has opened no stream is sent away. */
  #firstStreamBy: number;
  /** When ends that quiche does not announce are looked for again. */
  #endsDueAt = Infinity;
  /** Whether anything was handed over since the last sending pass. */
  #isUnsaid = false;
  #lastAddress: SocketAddress = { host: "", port: 0 };

  constructor(link: Link, memory: StreamMemory, options: ConnectionOptions) {
    this.peer = options.peer;
    this.attempt = options.attempt;
    this.native = link.native;
    this.reads = memory.reads;
    this.corks = memory.corks;
    this.#link = link;
    this.#idleTimeoutMs = options.idleTimeoutMs;
    this.#release = options.release;
    this.#vigil = options.vigil;
    this.#streams = new StreamTable(this, options.isDialer);
    this.#loneFins = new LoneFins(link.native, options.idleTimeoutMs);
    this.#overdue = new Overdue(link.native, options.idleTimeoutMs);
    this.#firstStreamBy = performance.now() + options.firstByteTimeoutMs;
    this.#share = new PeerShare(options.bounds, () => link.wake());
    this.#acceptedFrom = options.remoteAddress;
    this.#log = new ConnectionLog(this, options.isDialer ? "dialer" : "listener", options.trace);
    link.adopt(this);
    link.expireAt(this.#firstStreamBy);
    this.#log.opened();
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
      const { host, port } = this.#link.addressOf(active.peerHost);
      this.#lastAddress = { host: shownHost(host), port };
    }
    return this.#lastAddress;
  }

  openStream(options?: { readonly signal?: AbortSignal }): Promise<ByteStream> {
    return this.#streams.open(options?.signal);
  }

  close(code: number, reason = ""): void {
    const text = cutToBytes(reason, MAX_REASON_BYTES);
    const info: CloseInfo = { kind: "application", code, reason: text, byPeer: false };
    contained(this.#link, () => {
      if (this.#loneFins.sendAll() || this.#hasMore()) this.#link.flush();
      this.#link.close(true, code, Buffer.from(text), info);
    });
  }

  stats(): ConnectionStats {
    const { remoteAddress } = this;
    return { ...readStats(this.native, performance.now() - this.#openedAt), remoteAddress };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close(CLOSE_CODES.ok);
    await this.closed;
    await this.#release?.();
  }

  // An acknowledgement alone is no reason to send before a close: the peer forgets what it waits for.
  #hasMore(): boolean {
    if (this.#isUnsaid) return true;
    const timeoutMs = this.native.timeout();
    return timeoutMs !== null && timeoutMs <= this.#idleTimeoutMs / 2;
  }

  // LinkOwner

  process(): void {
    this.#share.beginTurn();
    const isReadable = this.native.isReadable();
    // Before delivery: what comes back for it is said after.
    if (isReadable) this.#vigil?.answered();
    this.#streams.process(isReadable);
    if (this.#firstStreamBy !== Infinity && this.#streams.peerHasSpoken) this.#firstStreamBy = Infinity;
    const now = performance.now();
    this.#endsDueAt = this.#streams.checkEnds(now);
    // Not from within a delivery: the streams it goes through would be gone.
    const { concern } = this.#share;
    if (concern !== undefined) this.#endFor(concern, now);
  }

  #endFor(concern: "resets" | "streams", now: number): void {
    if (concern === "resets") {
      this.#share.cut(concern);
      this.close(CLOSE_CODES.excessive, "too many streams were reset");
      return;
    }
    // Answered, and the answers have arrived: a close would overtake what has to be sent again.
    const isAnswered = this.#streams.isIdle && !this.#hasMore();
    if (!isAnswered && now < this.#share.dueAt) return;
    this.#share.cut(concern);
    this.close(CLOSE_CODES.ok, "as many streams as one connection may have");
  }

  uncork(): void {
    this.#streams.uncork();
  }

  expired(): void {
    if (performance.now() < this.#firstStreamBy - 1 || this.#streams.peerHasSpoken) return this.#link.wake();
    this.#share.cut("first-stream");
    this.close(CLOSE_CODES.timeout, "no stream was opened");
  }

  pathsChanged(): void {
    this.#log.pathsChanged(this.#acceptedFrom);
  }

  ended(info: CloseInfo): void {
    if (info.kind === "idle") this.#share.cut("idle");
    else if (info === TOO_MANY_ADDRESSES) this.#share.cut("addresses");
    const byUs = (info.kind === "application" && !info.byPeer) || info.kind === "local";
    try {
      this.#log.closed(info);
      this.#streams.fail(info, !byUs);
    } finally {
      // Whatever fails here, nobody is left waiting. After the rest: its last delivery may have asked for another turn.
      this.#share.end();
      this.#over.resolve(info);
    }
  }

  // StreamParent

  wake(): void {
    this.#isUnsaid = true;
    this.#link.wake();
  }

  consumed(): void {
    this.#link.wake();
  }

  spoke(): void {
    this.#vigil?.spoke();
    this.wake();
  }

  parked(reader: StreamReader): void {
    this.#streams.addParked(reader);
  }

  corked(writer: StreamWriter): void {
    this.#streams.addCorked(writer);
    this.wake();
  }

  blocked(writer: StreamWriter): void {
    this.#streams.addBlocked(writer);
  }

  flushed(timeoutMs: number | null): boolean {
    this.#isUnsaid = false;
    const now = performance.now();
    this.#vigil?.flushed(timeoutMs);
    this.#log.flushed(now);
    const hasFins = this.#loneFins.step(timeoutMs, now);
    const hasQuestion = this.#overdue.step(timeoutMs, now);
    const dueAt = Math.min(
      this.#endsDueAt,
      this.#loneFins.dueAt(),
      this.#overdue.dueAt(),
      this.#firstStreamBy,
      this.#share.dueAt,
    );
    if (dueAt !== Infinity) this.#link.expireAt(dueAt);
    return hasFins || hasQuestion;
  }

  endAlone(id: number, reads: ReadHold | undefined): void {
    this.#loneFins.add(id, reads, performance.now());
    this.wake();
  }

  finished(id: number): void {
    this.#streams.remove(id);
    this.#log.streamEnded(id);
  }

  // TableParent

  admits(id: number): boolean {
    return this.#share.admits(id);
  }

  opened(id: number, byPeer: boolean): void {
    // One of ours is opened all the same, but then the connection has had its last.
    this.#share.admits(id);
    this.#log.streamOpened(id, byPeer);
  }

  share(wanted: number): number {
    return this.#share.take(wanted);
  }

  streamReset(): void {
    this.#share.streamReset();
  }
}

/** The longest prefix of `text` that is whole characters and at most `maxBytes` of UTF-8. */
export function cutToBytes(text: string, maxBytes: number): string {
  const out = new Uint8Array(maxBytes);
  const { read } = new TextEncoder().encodeInto(text, out);
  return text.slice(0, read);
}
