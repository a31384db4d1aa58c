import {
  TransportError,
  type ByteStream,
  type CloseInfo,
  type Connection,
  type ConnectionStats,
  type PeerIdentity,
  type SocketAddress,
} from "@quaymesh/protocol";
import { AsyncQueue } from "../../../packages/protocol/src/memory/queue.ts";
import type { Process } from "../process.ts";
import type { Direction, Path } from "./path.ts";
import { SimStream, type StreamMessage } from "./stream.ts";

/** What one end of a connection is made of. */
export interface EndOptions {
  readonly process: Process;
  readonly path: Path;
  /** Which way this end sends. */
  readonly direction: Direction;
  readonly peer: PeerIdentity;
  readonly remoteAddress: SocketAddress;
  readonly localAddress: SocketAddress;
  readonly windowBytes: number;
  /** Silence after which this end is dead. Both ends send keep-alives, so only a path or a process that is gone is silent. */
  readonly idleTimeoutMs: number;
}

/** What a listener that closes says to those it had not taken up. */
const LISTENER_CLOSED: CloseInfo = { kind: "transport", code: 0, reason: "", byPeer: true };

/** One end of a simulated connection: streams that are reliable for as long as it lives, over a path that is not. */
export class SimConnection implements Connection {
  readonly peer: PeerIdentity;
  readonly remoteAddress: SocketAddress;
  readonly closed: Promise<CloseInfo>;
  readonly incomingStreams: AsyncIterable<ByteStream>;
  readonly #options: EndOptions;
  readonly #incoming = new AsyncQueue<ByteStream>();
  readonly #streams = new Map<number, SimStream>();
  readonly #settled = Promise.withResolvers<CloseInfo>();
  readonly #stopWatching = new DisposableStack();
  #other: SimConnection | undefined;
  #close: CloseInfo | undefined;
  #goneSince: number | undefined;
  #nextStream: number;

  constructor(options: EndOptions) {
    this.#options = options;
    this.peer = options.peer;
    this.remoteAddress = options.remoteAddress;
    this.closed = this.#settled.promise;
    this.incomingStreams = this.#incoming;
    this.#nextStream = options.direction === "to-gateway" ? 0 : 1;
    this.#stopWatching.defer(options.path.onBlocked(() => this.suspect()));
    this.#stopWatching.defer(options.path.onCut(() => this.end({ kind: "idle" }, true)));
    options.process.onDeath(() => this.#vanish());
  }

  /** Join two ends; once, before either is given out. */
  join(other: SimConnection): void {
    this.#other = other;
    other.#other = this;
  }

  async openStream(options?: { readonly signal?: AbortSignal }): Promise<ByteStream> {
    options?.signal?.throwIfAborted();
    if (this.#close !== undefined) throw closedError(this.#close);
    const id = this.#nextStream;
    this.#nextStream += 4;
    return this.#stream(id);
  }

  close(code: number, reason = ""): void {
    if (this.#close !== undefined) return;
    this.end({ kind: "application", code, reason, byPeer: false }, false);
    this.#carry((other) => other.end({ kind: "application", code, reason, byPeer: true }, true));
  }

  /** Settle this end alone; the first end stays. With `keep`, what has arrived can still be read. */
  end(info: CloseInfo, keep: boolean): void {
    if (this.#close !== undefined) return;
    this.#close = info;
    this.#stopWatching.dispose();
    const error = closedError(info);
    for (const stream of this.#streams.values()) stream.connectionClosed(error, keep);
    this.#incoming.close();
    this.#goneSince ??= this.#options.process.world.now;
    // An end that went silently is found out by its silence.
    if (info.kind === "idle") this.#other?.suspect();
    this.#settled.resolve(info);
  }

  /** Turn a peer away whose TLS was complete: it hears of it a moment after it believed itself connected. */
  refuse(info: CloseInfo): void {
    this.end(info, false);
    const told: CloseInfo = info.kind === "transport" ? { ...info, byPeer: true } : LISTENER_CLOSED;
    this.#carry((other) => other.end(told, false));
  }

  stats(): ConnectionStats {
    const { localAddress, remoteAddress, windowBytes } = this.#options;
    const none = { ageMs: 0, rttMs: 0, datagramBytes: 0, bytesSent: 0, bytesReceived: 0, packetsSent: 0 };
    const more = { packetsReceived: 0, packetsLost: 0, bytesRetransmitted: 0, deliveryBytesPerSecond: 0 };
    return { localAddress, remoteAddress, congestionWindowBytes: windowBytes, ...none, ...more };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close(0);
  }

  /** Whether this end has settled. */
  get isOver(): boolean {
    return this.#close !== undefined;
  }

  /** Since when nothing comes from this end any more. */
  get goneSince(): number | undefined {
    return this.#goneSince;
  }

  get #isThere(): boolean {
    return this.#options.process.alive && this.#close === undefined;
  }

  #stream(id: number): SimStream {
    const line = {
      windowBytes: this.#options.windowBytes,
      tell: (message: StreamMessage) => {
        if (this.#close === undefined) this.#carry((other) => other.#hear(id, message));
      },
    };
    const stream = new SimStream(id, line);
    this.#streams.set(id, stream);
    return stream;
  }

  #hear(id: number, message: StreamMessage): void {
    const known = this.#streams.get(id);
    if (known !== undefined) return known.hear(message);
    const stream = this.#stream(id);
    this.#incoming.push(stream);
    return stream.hear(message);
  }

  #carry(arrive: (other: SimConnection) => void): void {
    const { path, direction, process } = this.#options;
    // Nothing leaves a process that has been killed.
    if (!process.alive) return;
    path.carry(direction, {
      // A process that is gone, and one that has given up, sends nothing again.
      wanted: () => process.alive && this.#close?.kind !== "idle" && this.#other?.isOver !== true,
      arrive: () => {
        const other = this.#other;
        if (other === undefined) return;
        if (other.#isThere) arrive(other);
        else if (!other.#options.process.alive) other.#resetStatelessly();
      },
    });
  }

  /** The other end's machine knows nothing of this connection any more; once a process listens there again, it says so. */
  #resetStatelessly(): void {
    const { path, direction, process } = this.#options;
    if (process.machine.name !== "gateway") return;
    path.carryOnce(direction, () => {
      this.#other?.end({ kind: "transport", code: 0, reason: "stateless reset", byPeer: true }, false);
    });
  }

  #vanish(): void {
    this.#stopWatching.dispose();
    // One that had closed may not have got its word across, and nobody sends it again.
    this.#goneSince ??= this.#options.process.world.now;
    this.#other?.suspect();
  }

  /** Nothing may come any more: look again when it would have been silent for too long. */
  suspect(): void {
    if (!this.#isThere) return;
    const since = this.#silentSince();
    if (since === undefined) return;
    const { process, idleTimeoutMs } = this.#options;
    const leftMs = since + idleTimeoutMs - process.world.now;
    if (leftMs <= 0) this.end({ kind: "idle" }, true);
    else process.after(leftMs + 1, () => this.suspect());
  }

  #silentSince(): number | undefined {
    const { path, direction } = this.#options;
    const blocked = path.blockedSince(direction === "to-gateway" ? "to-node" : "to-gateway");
    const gone = this.#other?.goneSince;
    return blocked === undefined || gone === undefined ? (blocked ?? gone) : Math.min(blocked, gone);
  }
}

function closedError(close: CloseInfo): TransportError {
  const why = close.kind === "application" || close.kind === "transport" ? ` (${String(close.code)})` : "";
  return new TransportError("CONNECTION_CLOSED", `the connection is over: ${close.kind}${why}`, { close });
}
