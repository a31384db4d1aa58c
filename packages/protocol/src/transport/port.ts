/**
 * The Transport port: what a gateway and a node need of a network, and nothing about identity. QUIC, the in-memory link
 * and the simulation each implement it and pass one contract suite.
 */
import type { CloseInfo } from "./close.ts";
import type { ConnectionStats, ListenerRefusal, ListenerStats } from "./stats.ts";

/**
 * Where to listen or to dial. `host` is an IP address, with a zone where it is link-local (`fe80::1%eth0`), or a name; `port` 0 to 65535 (0 when listening: any).
 */
export interface SocketAddress {
  readonly host: string;
  readonly port: number;
}

/** A UDP socket that was bound by whoever started this process, systemd for instance: its file descriptor. The listener closes it. */
export interface InheritedSocket {
  readonly fd: number;
}

/**
 * One place to listen on. A name stands for all its addresses, on one port; `::` takes IPv4 too, unless an IPv4 address with the same port is listened on as well; `0.0.0.0` is IPv4 alone.
 */
export type ListenAddress = SocketAddress | InheritedSocket;

/** An address a listener is bound to, with the real port. */
export interface BoundAddress extends SocketAddress {
  /** What was asked for. */
  readonly asked: ListenAddress;
}

/** A TLS credential as plain data. */
export interface Credentials {
  /** PKCS #8 private key, PEM. */
  readonly keyPem: string;
  /** Certificates, PEM, leaf first, followed by what the peer needs to build its path. */
  readonly chainPem: string;
}

/** What the peer showed inside TLS. */
export interface PeerIdentity {
  /** DER certificates as sent, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** SHA-256 of the leaf's SubjectPublicKeyInfo, 32 bytes. */
  readonly spkiSha256: Uint8Array;
}

/** Why a peer that completed TLS is refused all the same; each maps to a TLS alert (docs/wire.md, "Refusals"). */
export type RefusalReason = "revoked" | "expired" | "unknown" | "denied" | "frozen";

/** The answer of an {@link Authorize} call. */
export type Verdict = { readonly kind: "accept" } | { readonly kind: "refuse"; readonly reason: RefusalReason };

/**
 * Judges a peer in the same tick in which TLS completes, before a stream byte is read. Synchronous by design: an answer
 * that has to be waited for is a window in which an unjudged peer is connected.
 */
export type Authorize = (peer: PeerIdentity) => Verdict;

/**
 * How a peer's certificate is judged. `anchored`: path, dates, key usage and (when dialing) name are verified inside
 * TLS against the anchors, then `authorize` may still refuse. `judged`: TLS demands a certificate and proof of its key,
 * and `authorize` alone decides; that is for pairing, where the two sides have no common root yet.
 */
export type PeerTrust =
  | { readonly kind: "anchored"; readonly anchorsPem: string; readonly authorize?: Authorize }
  | { readonly kind: "judged"; readonly authorize: Authorize };

/** Bounds of a listener. Every one has a default in the transport. */
export interface ListenLimits {
  /** Connections held at once, draining ones counted; beyond it a dialer is refused as `busy`. Default 256. */
  readonly maxConnections: number;
  /** Peer-opened bidirectional streams open at once on one connection. Default 1000. */
  readonly maxStreams: number;
  /** From first datagram to TLS completion. Default 3000. */
  readonly handshakeTimeoutMs: number;
  /** From TLS completion to the first stream byte. Default 2000. */
  readonly firstByteTimeoutMs: number;
  /** Silence after which a connection is dead. Default 30000. */
  readonly idleTimeoutMs: number;
  /** Handshakes under way at once; beyond it newcomers are refused, or take the place of one that has taken long. Default: half of `maxConnections`, 1024 at most. */
  readonly maxHalfOpen: number;
  /** Streams a peer may open per second, on average over a burst of twice that; more wait, unread. Default: no bound. */
  readonly maxStreamsPerSecond: number;
  /** Streams a peer may reset per second, on average over a burst of four times that; beyond it the connection is closed as `excessive`. Default 1000. */
  readonly maxResetsPerSecond: number;
  /**
   * Streams of either side over the life of a connection; then no more are taken up, it is closed with code 0 once nothing is under way, or a few seconds later, and the peer may dial again. A bound because QUIC stacks remember something of each (quiche some 20 bytes, for
   * ever). Default 1048576.
   */
  readonly maxStreamsEver: number;
}

/** A client that a listener turned away, as {@link ListenOptions.onRefused} is told of it. */
export interface RefusedAttempt {
  readonly reason: ListenerRefusal;
  /** Where TLS was not complete this may be forged. */
  readonly remoteAddress: SocketAddress;
  /** Names the attempt on both sides, where the transport has such a name; see {@link Connection.attempt}. */
  readonly attempt?: string;
  /** How the connection ended, where one had begun: it was the client that refused us where it says `byPeer`. */
  readonly close?: CloseInfo;
}

/** Options of {@link Transport.listen}. */
export interface ListenOptions {
  /** One place or several: they share every limit, and a connection stays with the socket it came in on. */
  readonly address: ListenAddress | readonly ListenAddress[];
  /** ALPN protocol identifier, for example `quaymesh/1`. */
  readonly protocol: string;
  readonly credentials: Credentials;
  readonly trust: PeerTrust;
  readonly limits?: Partial<ListenLimits>;
  /**
   * At least 32 bytes that stay the same over restarts, where `credentials` do not: with them, dialers of a listener that crashed hear from the next one at
   * once that their connection is gone, instead of waiting out their idle timeout. Default: derived from the private key.
   */
  readonly resetSecret?: Uint8Array;
  /**
   * Told of each client that was turned away, in the same tick; must not throw. Not of what no client begins with (`shape`, `version`, `reset`), nor of a question (`retry`). A flood calls it as
   * often as it has datagrams, so it has to be cheap.
   */
  readonly onRefused?: (refused: RefusedAttempt) => void;
  readonly signal?: AbortSignal;
}

/** Options of {@link Transport.dial}. */
export interface DialOptions {
  readonly protocol: string;
  /** TLS server name; the gateway's leaf carries it whatever the address is. */
  readonly serverName: string;
  readonly credentials: Credentials;
  readonly trust: PeerTrust;
  readonly idleTimeoutMs?: number;
  /** Default 5000. */
  readonly handshakeTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A network. */
export interface Transport {
  /**
   * Bound on all addresses when it resolves; on none where one of them cannot be bound, and the error names that one.
   * @throws {TransportError} `ADDRESS_IN_USE`, `ADDRESS_UNAVAILABLE`, `CREDENTIALS_INVALID`, `BINDING_UNAVAILABLE`; rethrows `signal.reason`
   */
  listen(options: ListenOptions): Promise<Listener>;
  /**
   * A name's addresses are tried in turn, the next one as soon as one has failed or has not answered for a moment; the first to complete is taken (RFC 8305).
   * Resolves when TLS completed on this side and `trust` accepted the peer. The peer may still refuse us a round trip
   * later: that is seen in {@link Connection.closed}, so only an application answer proves that we are in.
   * @throws {TransportError} `UNREACHABLE`, `HANDSHAKE_TIMEOUT`, `CONNECTION_CLOSED` (with `close`), `PEER_REFUSED` (we
   * refused it), `CREDENTIALS_INVALID`, `BINDING_UNAVAILABLE`; rethrows `signal.reason`
   */
  dial(address: SocketAddress, options: DialOptions): Promise<Connection>;
}

/**
 * An open listening endpoint. Iterating yields connections whose peer was accepted; leaving the loop does not close it.
 */
export interface Listener extends AsyncIterable<Connection>, AsyncDisposable {
  /** The first of {@link Listener.addresses}. */
  readonly address: SocketAddress;
  /** Every bound address, in the order in which they were asked for; a name's in the resolver's order. */
  readonly addresses: readonly BoundAddress[];
  stats(): ListenerStats;
  /**
   * Show these in handshakes that begin from now on; connections there are go on as they are. What stateless resets hang from does not change.
   * @throws {TransportError} `CREDENTIALS_INVALID`; nothing has changed then
   */
  setCredentials(credentials: Credentials): void;
  /**
   * Verify peers of handshakes that begin from now on against these anchors, in PEM; connections there are go on as they are.
   * @throws {TransportError} `CREDENTIALS_INVALID` where TLS does not take them, or where peers are not judged by anchors; nothing has changed then
   */
  setTrustAnchors(anchorsPem: string): void;
  /** Stop accepting, close every connection with `code` and `reason`, release the address. Idempotent. */
  close(code?: number, reason?: string): Promise<void>;
}

/** One authenticated connection. Disposing closes it with code 0. */
export interface Connection extends AsyncDisposable {
  readonly peer: PeerIdentity;
  /** Where the peer is now; follows NAT rebinding. */
  readonly remoteAddress: SocketAddress;
  /** Names the attempt that led to it, on both sides: over QUIC the destination connection id that the dialer began with, lower-case hex. Absent where the transport has no such name. */
  readonly attempt?: string | undefined;
  /** Streams the peer opened, in order. One consumer; leaving the loop refuses later streams. */
  readonly incomingStreams: AsyncIterable<ByteStream>;
  /** Settles once, when the connection is over, whoever ended it. Never rejects. */
  readonly closed: Promise<CloseInfo>;
  /**
   * Waits while the peer allows no further stream.
   * @throws {TransportError} `CONNECTION_CLOSED`
   */
  openStream(options?: { readonly signal?: AbortSignal }): Promise<ByteStream>;
  /**
   * Close with an application code (docs/wire.md, "Close codes"); at once for the caller, best effort for the peer.
   * @param reason UTF-8, cut at 128 bytes
   */
  close(code: number, reason?: string): void;
  stats(): ConnectionStats;
}

/**
 * A bidirectional byte stream with backpressure both ways.
 *
 * A protocol must end every stream with an explicit last message and give it to `end`: a FIN that rides on data cannot
 * get lost, one that travels alone may (ADR 0003).
 */
export interface ByteStream extends AsyncDisposable, AsyncIterable<Uint8Array> {
  readonly id: number;
  /**
   * The next bytes, any length above 0; `null` once the peer ended. Without `into` the memory is fresh and the caller's to keep.
   * @param into memory of the caller's, 1 byte or more, that the bytes are put into; the result is a view of its beginning. It must be left alone until the read has settled. For bulk: a reader that is
   * through with its bytes when it asks for more reuses one piece of memory, where fresh memory is what a fast receiver spends most of its time on.
   * @throws {TransportError} `STREAM_RESET` (with `resetCode`), `CONNECTION_CLOSED` (with `close`)
   */
  read(into?: Uint8Array): Promise<Uint8Array | null>;
  /**
   * Hand over bytes; the transport has copied or sent them when this returns. `undefined`: there is room, go on. A
   * promise: await it before writing more.
   * @throws {TransportError} `STREAM_RESET`, `STREAM_ENDED`, `CONNECTION_CLOSED`, thrown or as the rejection
   */
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** End our side, with the last bytes if any. Idempotent. */
  end(bytes?: Uint8Array): Promise<void> | undefined;
  /** Abandon both directions with an application code. Idempotent. */
  reset(code: number): void;
}
