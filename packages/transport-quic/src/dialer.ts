import { randomBytes } from "node:crypto";
import { REFUSAL_CODES, TransportError } from "@quaymesh/protocol";
import type { CloseInfo, PeerTrust } from "@quaymesh/protocol";
import { nativeHost, printAddress } from "./address.ts";
import type { IpAddress } from "./address.ts";
import type { Binding, NativeConfig } from "./binding.ts";
import { QuicConnection } from "./connection.ts";
import { CONNECTION_ID_BYTES } from "./datagram-shape.ts";
import { Endpoint } from "./endpoint.ts";
import type { EndpointOwner } from "./endpoint.ts";
import { connectionClosed, unreachable } from "./errors.ts";
import { judge } from "./judge.ts";
import { Link } from "./link.ts";
import type { LinkOwner } from "./link-ports.ts";
import { isAddressGone } from "./local-address.ts";
import type { ConnectionTrace } from "./observe/trace.ts";
import type { Tracer } from "./observe/tracer.ts";
import { PathLimit } from "./path-limit.ts";
import type { DatagramSource } from "./udp-socket.ts";
import type { StreamMemory } from "./slabs.ts";
import type { Batching } from "./syscalls/batching.ts";
import { UdpSocket } from "./udp-socket.ts";
import { Vigil } from "./vigil.ts";

/** What one attempt to reach one address is made of. */
export interface DialAttempt {
  readonly binding: Binding;
  readonly config: NativeConfig;
  readonly address: IpAddress;
  readonly serverName: string;
  readonly trust: PeerTrust;
  readonly handshakeTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** `undefined`: a third of the idle timeout that both ends keep. */
  readonly keepAliveMs: number | undefined;
  /** How often to ask while something is not acknowledged. */
  readonly probeMs: number;
  readonly datagramBytes: number;
  /** Whether the path surely carries that. */
  readonly isTrusted: boolean;
  /** Several datagrams a system call, where the platform has that. */
  readonly batching: Batching | undefined;
  readonly tracer: Tracer | undefined;
  readonly memory: StreamMemory;
  readonly signal: AbortSignal | undefined;
}

/** RFC 9001 section 4.8: crypto errors are 0x100 plus a TLS alert. */
const isCryptoError = (code: number): boolean => code >= 0x100 && code <= 0x1ff;
/** Two pings may be lost before the peer gives up. */
const PINGS_PER_IDLE_TIMEOUT = 3;
/** The silence before a ping is measured in such parts of it. */
const KEEP_ALIVE_TICKS = 4;
/**
 * The datagram with our last handshake message also acknowledges the first one, and quiche fills such a datagram with zeros as far as it may: with 16 KiB of them on loopback, which cost both
 * ends more than the message itself. This has room for a chain of two P-256 certificates and a small request.
 */
const LAST_FLIGHT_BYTES = 2048;
/** What sending says where our own address was taken away, and where there is no network at all. */
const ROUTE_FAULTS: ReadonlySet<string> = new Set(["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EINVAL"]);
/** An address may be given back at once, as when a lease is renewed. */
const ADDRESS_GONE_MS = 1000;
/** A refused port that gives no sign of life for so long is one nobody listens on any more. One refusal alone may be a forged ICMP message. */
const REFUSED_SILENCE_MS = 1000;
const FATAL_FAULTS: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN"]);

/**
 * Try one address: a socket of its own, connected, released with the connection.
 * @throws {TransportError} as {@link Transport.dial} says; rethrows `signal.reason`
 */
export async function dialAddress(attempt: DialAttempt): Promise<QuicConnection> {
  attempt.signal?.throwIfAborted();
  let socket: UdpSocket;
  try {
    socket = await UdpSocket.connect(attempt.address, { batching: attempt.batching });
  } catch (cause) {
    throw unreachable(cause, printAddress(attempt.address));
  }
  const dialer = await begin(attempt, socket);
  const abort = (): void => dialer.abort(attempt.signal?.reason);
  attempt.signal?.addEventListener("abort", abort, { once: true });
  try {
    if (attempt.signal?.aborted === true) abort();
    return await dialer.connected;
  } catch (error) {
    await dialer.release();
    throw error;
  } finally {
    attempt.signal?.removeEventListener("abort", abort);
  }
}

async function begin(attempt: DialAttempt, socket: UdpSocket): Promise<Dialer> {
  try {
    return new Dialer(attempt, socket);
  } catch (cause) {
    // TLS does not take the server name; whose socket that was would else be held for ever.
    await socket.close();
    throw new TransportError("CREDENTIALS_INVALID", "TLS cannot ask for this server name", { cause });
  }
}

/** Owns the endpoint of one dialed connection, and its link until TLS is complete. */
class Dialer implements EndpointOwner, LinkOwner {
  readonly #attempt: DialAttempt;
  readonly #endpoint: Endpoint;
  readonly #link: Link;
  readonly #vigil: Vigil;
  readonly #trace: ConnectionTrace | undefined;
  readonly #outcome = Promise.withResolvers<QuicConnection>();
  /** The destination id it began with: the listener knows it too, whatever comes between. */
  readonly #name: string;
  #state: "handshake" | "open" | "failed" = "handshake";
  #keepAlive: NodeJS.Timeout | undefined;
  #suspicion: NodeJS.Timeout | undefined;
  #doubt: NodeJS.Timeout | undefined;
  #releasing: Promise<void> | undefined;

  constructor(attempt: DialAttempt, socket: UdpSocket) {
    const { binding, address, serverName, config } = attempt;
    this.#attempt = attempt;
    this.#endpoint = new Endpoint(socket, attempt.datagramBytes, this);
    const scid = randomBytes(CONNECTION_ID_BYTES);
    const remote = { host: nativeHost(address.host), port: address.port };
    const native = binding.Connection.connect(serverName, scid, this.#endpoint.local, remote, config);
    this.#link = new Link(native, this.#endpoint, remote, this);
    this.#name = Buffer.from(native.destinationId()).toString("hex");
    this.#trace = attempt.tracer?.begin({
      role: "dialer",
      originalDcid: this.#name,
      localAddress: socket.local,
      remoteAddress: { host: address.host, port: address.port },
    });
    this.#link.tap = this.#trace;
    if (!attempt.isTrusted) this.#link.pathLimit = new PathLimit();
    this.#vigil = new Vigil(this.#link, {
      everyMs: attempt.probeMs,
      idleTimeoutMs: attempt.idleTimeoutMs,
      knock: (datagram) => socket.send(datagram, datagram.length, remote),
    });
    this.#endpoint.add(this.#link, [scid]);
    this.#link.expireAt(performance.now() + attempt.handshakeTimeoutMs);
    this.#link.wake();
  }

  get connected(): Promise<QuicConnection> {
    return this.#outcome.promise;
  }

  /** Give up, and tell the peer. */
  abort(reason: unknown): void {
    if (this.#state !== "handshake") return;
    this.#fail(reason);
    this.#link.close(false, 0, new Uint8Array(0), { kind: "local" });
  }

  /** Stop the timers and release the socket. */
  release(): Promise<void> {
    clearInterval(this.#keepAlive);
    clearTimeout(this.#suspicion);
    clearTimeout(this.#doubt);
    this.#vigil.end();
    this.#releasing ??= this.#endpoint.close();
    return this.#releasing;
  }

  #fail(reason: unknown): void {
    if (this.#state !== "handshake") return;
    this.#state = "failed";
    this.#outcome.reject(reason);
  }

  // EndpointOwner

  // A connected socket hears one peer only, and a stateless reset carries no id of ours: quiche knows it by its token.
  stray(datagram: Buffer, from: DatagramSource): void {
    this.#link.receive(datagram, from);
  }

  released(): void {
    void this.release();
  }

  fault(code: string): void {
    if (this.#state === "open" && code === "ECONNREFUSED") this.#suspect();
    if (this.#state === "open" && ROUTE_FAULTS.has(code)) this.#doubtAddress();
    if (this.#state !== "handshake" || !FATAL_FAULTS.has(code)) return;
    this.#fail(unreachable(Object.assign(new Error(code), { code }), printAddress(this.#attempt.address)));
    this.#link.abandon({ kind: "local" });
  }

  // LinkOwner, until the connection adopts the link

  process(): void {
    if (this.#state !== "handshake" || !this.#link.native.isEstablished()) return;
    const judgement = judge(this.#link.native, this.#attempt.trust);
    if (judgement.kind === "refuse") {
      const code = REFUSAL_CODES[judgement.reason];
      const close: CloseInfo = { kind: "transport", code, reason: judgement.reason, byPeer: false };
      const facts = { close, attempt: this.#name };
      this.#fail(new TransportError("PEER_REFUSED", `we refused the peer: ${judgement.reason}`, facts));
      this.#link.close(false, code, Buffer.from(judgement.reason), close);
      return;
    }
    this.#state = "open";
    this.#link.sendsNextAtMost(LAST_FLIGHT_BYTES);
    const connection = new QuicConnection(this.#link, this.#attempt.memory, {
      peer: judgement.peer,
      isDialer: true,
      remoteAddress: { host: this.#attempt.address.host, port: this.#attempt.address.port },
      trace: this.#trace,
      attempt: this.#name,
      idleTimeoutMs: this.#attempt.idleTimeoutMs,
      firstByteTimeoutMs: Infinity,
      vigil: this.#vigil,
      release: () => this.release(),
    });
    this.#startKeepAlive();
    // The peer needs no answer from us once the connection is over, so the port need not outlive it.
    void connection.closed.then(() => this.release());
    this.#outcome.resolve(connection);
  }

  uncork(): void {
    // Nothing is written before the peer is judged.
  }

  flushed(): boolean {
    return false;
  }

  expired(): void {
    const where = printAddress(this.#attempt.address);
    const message = `no handshake with ${where} within ${this.#attempt.handshakeTimeoutMs} ms`;
    this.#fail(new TransportError("HANDSHAKE_TIMEOUT", message, { attempt: this.#name }));
    this.#link.close(false, 0, new Uint8Array(0), { kind: "local" });
  }

  ended(close: CloseInfo): void {
    const isOurs = close.kind === "transport" && !close.byPeer && isCryptoError(close.code);
    const attempt = this.#name;
    if (isOurs)
      this.#fail(new TransportError("PEER_REFUSED", "the peer's certificate was refused", { close, attempt }));
    else this.#fail(connectionClosed(close, { attempt }));
  }

  // A socket that sends from an address that is gone will never send again, whatever network there is now.
  #doubtAddress(): void {
    if (this.#doubt !== undefined || !this.#link.isLive) return;
    const { host } = this.#endpoint.local;
    this.#doubt = setTimeout(() => {
      void isAddressGone(host).then((isGone) => {
        this.#doubt = undefined;
        if (isGone && this.#link.isLive) this.#link.abandon({ kind: "idle" });
      });
    }, ADDRESS_GONE_MS);
  }

  // An idle connection is silent too, so a refusal asks for a sign of life.
  #suspect(): void {
    if (this.#suspicion !== undefined || !this.#link.isLive) return;
    const heard = this.#link.native.stats().recvBytes;
    this.#suspicion = setTimeout(() => {
      this.#suspicion = undefined;
      if (this.#link.isLive && this.#link.native.stats().recvBytes === heard) this.#link.abandon({ kind: "idle" });
    }, REFUSED_SILENCE_MS);
    this.#vigil.ask();
  }

  // Only the dialer pings: it is the one behind the NAT, and a gateway with ten thousand sessions need not send as many pings.
  #startKeepAlive(): void {
    let seen = -1;
    let quietTicks = 0;
    const { keepAliveMs, idleTimeoutMs } = this.#attempt;
    // 0: the peer has none.
    const theirs = this.#link.native.stats().peerMaxIdleTimeout || Infinity;
    const everyMs = keepAliveMs ?? Math.min(idleTimeoutMs, theirs) / PINGS_PER_IDLE_TIMEOUT;
    this.#keepAlive = setInterval(() => {
      if (!this.#link.isLive) return;
      // Packets, not datagrams: what does not open would else keep us from pinging until the peer gives us up.
      const { recv, sent } = this.#link.native.stats();
      quietTicks = recv + sent === seen ? quietTicks + 1 : 0;
      seen = recv + sent;
      if (quietTicks < KEEP_ALIVE_TICKS - 1) return;
      this.#link.native.sendAckEliciting();
      this.#link.wake();
    }, everyMs / KEEP_ALIVE_TICKS);
  }
}
