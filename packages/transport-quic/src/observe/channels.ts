/**
 * The life of connections as `node:diagnostics_channel` channels, documented in docs/observability.md. Nothing is made for a channel that nobody subscribes to. A subscriber that throws
 * is an uncaught exception of its own process, as diagnostics_channel has it; the connection goes on.
 */
import diagnostics from "node:diagnostics_channel";
import type { CloseInfo, ConnectionStats, ListenerRefusal, SocketAddress } from "@quaymesh/protocol";

/** Which end of a connection this process is. */
export type ConnectionRole = "dialer" | "listener";

/** Message of {@link CONNECTION_OPEN}: TLS is complete and the peer was accepted. */
export interface ConnectionOpened {
  /** Names the connection in this process; the later messages carry the same. */
  readonly connection: number;
  readonly role: ConnectionRole;
  readonly localAddress: SocketAddress;
  readonly remoteAddress: SocketAddress;
  /** SHA-256 of the peer's SubjectPublicKeyInfo, lower-case hex. */
  readonly peerSpkiSha256: string;
}

/** Message of {@link CONNECTION_MIGRATE}: the peer's new address is validated and in use. */
export interface ConnectionMigrated {
  readonly connection: number;
  readonly role: ConnectionRole;
  readonly from: SocketAddress;
  readonly to: SocketAddress;
}

/** Message of {@link CONNECTION_CLOSE}: an open connection is over, whoever ended it. */
export interface ConnectionClosed {
  readonly connection: number;
  readonly role: ConnectionRole;
  readonly close: CloseInfo;
  /** As it was at the end. */
  readonly stats: ConnectionStats;
}

/** Message of {@link CONNECTION_REFUSE}: a listener turned a datagram or a client away. Floods make as many as they have datagrams. */
export interface ConnectionRefused {
  readonly reason: ListenerRefusal;
  /** Before `retry` or TLS this may be forged. */
  readonly remoteAddress: SocketAddress;
}

/** `quaymesh:connection:open`, with {@link ConnectionOpened}. */
export const CONNECTION_OPEN = diagnostics.channel("quaymesh:connection:open");
/** `quaymesh:connection:migrate`, with {@link ConnectionMigrated}. */
export const CONNECTION_MIGRATE = diagnostics.channel("quaymesh:connection:migrate");
/** `quaymesh:connection:close`, with {@link ConnectionClosed}. */
export const CONNECTION_CLOSE = diagnostics.channel("quaymesh:connection:close");
/** `quaymesh:connection:refuse`, with {@link ConnectionRefused}. */
export const CONNECTION_REFUSE = diagnostics.channel("quaymesh:connection:refuse");
