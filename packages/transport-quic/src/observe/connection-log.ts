import type { CloseInfo, ConnectionStats, PeerIdentity, SocketAddress } from "@quaymesh/protocol";
import { CONNECTION_CLOSE, CONNECTION_MIGRATE, CONNECTION_OPEN } from "./channels.ts";
import type { ConnectionClosed, ConnectionMigrated, ConnectionOpened, ConnectionRole } from "./channels.ts";
import type { ConnectionTrace } from "./trace.ts";

/** What a {@link ConnectionLog} asks of its connection. */
export interface LoggedConnection {
  readonly peer: PeerIdentity;
  stats(): ConnectionStats;
}

let connections = 0;

const isSame = (one: SocketAddress, other: SocketAddress): boolean =>
  one.port === other.port && one.host === other.host;

/** Tells diagnostics channels and a trace, where there are any, of one connection. */
export class ConnectionLog {
  readonly #connection: LoggedConnection;
  readonly #role: ConnectionRole;
  readonly #trace: ConnectionTrace | undefined;
  readonly #id = (connections += 1);
  #remote: SocketAddress | undefined;

  constructor(connection: LoggedConnection, role: ConnectionRole, trace: ConnectionTrace | undefined) {
    this.#connection = connection;
    this.#role = role;
    this.#trace = trace;
  }

  /** The peer was accepted. */
  opened(): void {
    this.#trace?.accepted();
    if (!CONNECTION_OPEN.hasSubscribers) return;
    const { localAddress, remoteAddress } = this.#connection.stats();
    const peerSpkiSha256 = Buffer.from(this.#connection.peer.spkiSha256).toString("hex");
    const message = { connection: this.#id, role: this.#role, localAddress, remoteAddress, peerSpkiSha256 };
    CONNECTION_OPEN.publish(message satisfies ConnectionOpened);
  }

  /** Something of the peer's addresses changed: see whether it has moved. @param from where it was accepted */
  pathsChanged(from: SocketAddress): void {
    if (!CONNECTION_MIGRATE.hasSubscribers && this.#trace === undefined) return;
    const to = this.#connection.stats().remoteAddress;
    const before = this.#remote ?? from;
    if (isSame(before, to)) return;
    this.#remote = to;
    this.#trace?.migrated(before, to);
    const message = { connection: this.#id, role: this.#role, from: before, to };
    if (CONNECTION_MIGRATE.hasSubscribers) CONNECTION_MIGRATE.publish(message satisfies ConnectionMigrated);
  }

  streamOpened(id: number, byPeer: boolean): void {
    this.#trace?.streamOpened(id, byPeer);
  }

  streamEnded(id: number): void {
    this.#trace?.streamEnded(id);
  }

  /** A turn is over. @param now of `performance.now()` */
  flushed(now: number): void {
    if (this.#trace?.wantsMetrics(now) === true) this.#trace.metrics(this.#connection.stats());
  }

  closed(close: CloseInfo): void {
    if (this.#trace === undefined && !CONNECTION_CLOSE.hasSubscribers) return;
    const stats = this.#connection.stats();
    this.#trace?.metrics(stats);
    this.#trace?.closed(close);
    const message = { connection: this.#id, role: this.#role, close, stats };
    if (CONNECTION_CLOSE.hasSubscribers) CONNECTION_CLOSE.publish(message satisfies ConnectionClosed);
  }
}
