import { TransportError } from "../errors.ts";
import { QUIC_ERRORS, REFUSAL_CODES, type CloseInfo } from "../transport/close.ts";
import type {
  BoundAddress,
  Connection,
  Credentials,
  DialOptions,
  Listener,
  ListenOptions,
  PeerIdentity,
  PeerTrust,
  SocketAddress,
  Transport,
  Verdict,
} from "../transport/port.ts";
import { MemoryConnection } from "./connection.ts";
import { MemoryListener } from "./listener.ts";

/** Options of {@link createMemoryNetwork}. */
export interface MemoryNetworkOptions {
  /**
   * The identity that TLS would show for these credentials; throwing means they are not usable. By default
   * {@link opaquePeer}, so any distinct strings will do as credentials.
   */
  readonly peerOf?: (credentials: Credentials) => PeerIdentity;
  /**
   * What TLS would verify for `anchored` trust: does this peer's chain end at the anchors? By default every chain does.
   */
  readonly isAnchored?: (peer: PeerIdentity, anchorsPem: string) => boolean;
  /** Bytes a stream holds before its writer has to wait. Default 262144. */
  readonly windowBytes?: number;
}

/** A {@link Transport} without a network. Nothing is ever late, so it has no timeouts. */
export interface MemoryNetwork extends Transport {
  /** End every connection as silence would: both ends see `idle`. */
  sever(): void;
}

const DEFAULT_WINDOW_BYTES = 262_144;
const DEFAULT_MAX_CONNECTIONS = 256;
const DEFAULT_MAX_STREAMS = 1000;
/** First of the dynamic ports, RFC 6335 section 6. */
const FIRST_PORT = 49_152;

/** A network of its own: only what listens on it can be dialed on it. */
export function createMemoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  return new Network(options);
}

/**
 * An identity made from the credentials' text alone: its one "certificate" is the text of `chainPem`, its key hash a
 * (not cryptographic) digest of `keyPem`. Equal keys are equal peers.
 */
export function opaquePeer(credentials: Credentials): PeerIdentity {
  const encoder = new TextEncoder();
  return { chain: [encoder.encode(credentials.chainPem)], spkiSha256: digest(encoder.encode(credentials.keyPem)) };
}

class Network implements MemoryNetwork {
  readonly #options: MemoryNetworkOptions;
  readonly #listeners = new Map<string, MemoryListener>();
  readonly #connections = new Set<MemoryConnection>();
  #nextPort = FIRST_PORT;

  constructor(options: MemoryNetworkOptions) {
    this.#options = options;
  }

  async listen(options: ListenOptions): Promise<Listener> {
    options.signal?.throwIfAborted();
    // Before anything is bound: credentials that cannot be used leave nothing behind.
    this.#peerOf(options.credentials);
    const addresses = this.#bind(options.address);
    const keys = addresses.map(addressKey);
    const listener = new MemoryListener(
      addresses,
      options,
      (credentials) => this.#peerOf(credentials),
      () => {
        for (const key of keys) this.#listeners.delete(key);
      },
    );
    for (const key of keys) this.#listeners.set(key, listener);
    options.signal?.addEventListener("abort", () => void listener.close(), { once: true });
    return listener;
  }

  async dial(address: SocketAddress, options: DialOptions): Promise<Connection> {
    options.signal?.throwIfAborted();
    const dialer = this.#peerOf(options.credentials);
    // A real dial takes a turn at least, in which it can be aborted.
    await Promise.resolve();
    options.signal?.throwIfAborted();
    const listener = this.#listeners.get(addressKey(address));
    if (listener === undefined) throw new TransportError("UNREACHABLE", `nothing listens on ${addressKey(address)}`);
    const refusal = this.#refusalBeforeTls(listener, options, address.host);
    if (refusal !== undefined) throw refusedError(refusal);
    const verdict = this.#judge(options.trust, listener.peer);
    if (verdict.kind === "refuse")
      throw new TransportError("PEER_REFUSED", `this side refused the peer (${verdict.reason})`);
    return this.#connect(listener, dialer, address);
  }

  sever(): void {
    for (const connection of this.#connections) connection.end({ kind: "idle" }, true);
  }

  #refusalBeforeTls(listener: MemoryListener, options: DialOptions, host: string): CloseInfo | undefined {
    const dialer = { host, port: this.#nextPort };
    if (listener.connections >= (listener.options.limits?.maxConnections ?? DEFAULT_MAX_CONNECTIONS)) {
      listener.countRefusal("busy", dialer);
      return { kind: "transport", code: QUIC_ERRORS.connectionRefused, reason: "busy", byPeer: true };
    }
    if (listener.options.protocol !== options.protocol) {
      listener.countRefusal("wrong-protocol", dialer);
      return { kind: "transport", code: QUIC_ERRORS.noApplicationProtocol, reason: "", byPeer: true };
    }
    return undefined;
  }

  /** The listener judges the dialer; a refused dialer has a connection that closes, as in TLS 1.3. */
  #connect(listener: MemoryListener, dialer: PeerIdentity, dialed: SocketAddress): MemoryConnection {
    const windowBytes = this.#options.windowBytes ?? DEFAULT_WINDOW_BYTES;
    const listenerAddress = { host: dialed.host, port: dialed.port };
    const dialerAddress = { host: dialed.host, port: this.#nextPort++ };
    const near = new MemoryConnection({
      peer: listener.peer,
      remoteAddress: listenerAddress,
      localAddress: dialerAddress,
      maxStreams: listener.options.limits?.maxStreams ?? DEFAULT_MAX_STREAMS,
      windowBytes,
      side: 0,
    });
    const verdict = this.#judge(listener.options.trust, dialer);
    if (verdict.kind === "refuse") {
      listener.countRefusal(verdict.reason, dialerAddress);
      near.end({ kind: "transport", code: REFUSAL_CODES[verdict.reason], reason: verdict.reason, byPeer: true }, false);
      return near;
    }
    const far = new MemoryConnection({
      peer: dialer,
      remoteAddress: dialerAddress,
      localAddress: listenerAddress,
      maxStreams: DEFAULT_MAX_STREAMS,
      windowBytes,
      side: 1,
    });
    near.join(far);
    this.#hold(near);
    this.#hold(far);
    listener.admit(far);
    return near;
  }

  #hold(connection: MemoryConnection): void {
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }

  #judge(trust: PeerTrust, peer: PeerIdentity): Verdict {
    if (trust.kind === "anchored") {
      const anchored = this.#options.isAnchored?.(peer, trust.anchorsPem) ?? true;
      if (!anchored) return { kind: "refuse", reason: "unknown" };
      if (trust.authorize === undefined) return { kind: "accept" };
    }
    try {
      return trust.authorize?.(peer) ?? { kind: "accept" };
    } catch {
      // A judge that fails has not accepted anyone.
      return { kind: "refuse", reason: "denied" };
    }
  }

  #peerOf(credentials: Credentials): PeerIdentity {
    try {
      return (this.#options.peerOf ?? opaquePeer)(credentials);
    } catch (cause) {
      throw new TransportError("CREDENTIALS_INVALID", "the credentials cannot be used", { cause });
    }
  }

  /** All of the addresses or none. */
  #bind(asked: ListenOptions["address"]): BoundAddress[] {
    const bound: BoundAddress[] = [];
    for (const each of "host" in asked || "fd" in asked ? [asked] : asked) {
      if ("fd" in each) throw new TransportError("ADDRESS_UNAVAILABLE", "the memory network inherits no descriptors");
      const address = { host: each.host, port: each.port === 0 ? this.#freePort(each.host) : each.port, asked: each };
      const key = addressKey(address);
      if (this.#listeners.has(key) || bound.some((other) => addressKey(other) === key)) {
        throw new TransportError("ADDRESS_IN_USE", `${key} is in use`);
      }
      bound.push(address);
    }
    if (bound.length === 0) throw new TransportError("ADDRESS_UNAVAILABLE", "there is no address to listen on");
    return bound;
  }

  #freePort(host: string): number {
    while (this.#listeners.has(addressKey({ host, port: this.#nextPort }))) this.#nextPort++;
    return this.#nextPort++;
  }
}

function addressKey(address: SocketAddress): string {
  return `${address.host}:${address.port}`;
}

function refusedError(close: CloseInfo): TransportError {
  return new TransportError("CONNECTION_CLOSED", "the peer refused the connection", { close });
}

/** Four FNV-1a runs with different offsets, 8 bytes each: enough to tell test peers apart. */
function digest(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(32);
  for (let lane = 0; lane < 8; lane++) {
    let hash = 0x811c9dc5 ^ lane;
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
    new DataView(out.buffer).setUint32(lane * 4, hash >>> 0);
  }
  return out;
}
