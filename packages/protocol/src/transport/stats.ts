/** What transports count. Counters grow from the opening of their listener or connection; gauges say what is now. */
import type { SocketAddress } from "./port.ts";

/**
 * Why a listener turned a datagram or a client away, in the order of admission. Closed: metrics and operators rely on it.
 *
 * `shape`: nothing a client begins with. `version`: another QUIC version, answered with ours. `reset`: of a connection that is gone, answered with a stateless reset. `retry`: asked to
 * prove its address first; not refused yet. `token`: the proof was forged, stale, or another's. `budget`: its prefix began too many handshakes. `half-open`: too many handshakes are
 * half open, its prefix's or all. `busy`: as many connections as allowed. `displaced`: its handshake took too long while others waited for its place. `timeout`: TLS was not complete in
 * time. `wrong-protocol`, `untrusted`: TLS refused its protocol or its chain; `handshake`: TLS failed otherwise. `revoked`, `expired`, `unknown`, `denied`, `frozen`: TLS was complete, and it was judged so.
 */
export const LISTENER_REFUSALS = [
  "shape",
  "version",
  "reset",
  "retry",
  "token",
  "budget",
  "half-open",
  "busy",
  "displaced",
  "timeout",
  "handshake",
  "wrong-protocol",
  "untrusted",
  "revoked",
  "expired",
  "unknown",
  "denied",
  "frozen",
] as const;

/** One of {@link LISTENER_REFUSALS}. */
export type ListenerRefusal = (typeof LISTENER_REFUSALS)[number];

/**
 * Why a listener ended a connection it had accepted. `first-stream`: its peer opened no stream in time. `idle`: nothing was heard of it. `resets`: its peer gave up more streams than
 * work can be done for. `addresses`: it came from too many addresses. `streams`: it had as many as one connection may.
 */
export const LISTENER_CUTS = ["first-stream", "idle", "resets", "addresses", "streams"] as const;

/** One of {@link LISTENER_CUTS}. */
export type ListenerCut = (typeof LISTENER_CUTS)[number];

/** Counters since the listener opened, and what it holds now. */
export interface ListenerStats {
  /** Connections held, half-open and draining ones counted. */
  readonly connections: number;
  /** Handshakes under way. */
  readonly halfOpen: number;
  readonly accepted: number;
  /** By reason; reasons that never came up are absent. */
  readonly refused: Readonly<Partial<Record<ListenerRefusal, number>>>;
  /** Accepted connections that the listener ended, by reason; reasons that never came up are absent. */
  readonly cut: Readonly<Partial<Record<ListenerCut, number>>>;
  /** Turns in which a connection's new streams had to wait, because it opened more than its share. */
  readonly throttled: number;
  readonly datagramsReceived: number;
  readonly datagramsSent: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly sendErrors: number;
}

/** What a transport knows of a connection and its path. A transport without packets (memory) says 0 where there is nothing to say. */
export interface ConnectionStats {
  readonly localAddress: SocketAddress;
  /** Where the peer is now; follows NAT rebinding. */
  readonly remoteAddress: SocketAddress;
  /** Since TLS was complete. */
  readonly ageMs: number;
  /** Smoothed. */
  readonly rttMs: number;
  readonly congestionWindowBytes: number;
  /** The longest datagram this side sends on the path. */
  readonly datagramBytes: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly packetsSent: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  /** Stream bytes sent again because they were lost. */
  readonly bytesRetransmitted: number;
  /** As the transport last estimated it; 0 where it has not yet. */
  readonly deliveryBytesPerSecond: number;
}
