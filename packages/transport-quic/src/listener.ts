import { CLOSE_CODES, REFUSAL_CODES } from "@quaymesh/protocol";
import type {
  Connection,
  Credentials,
  Listener,
  ListenerStats,
  ListenLimits,
  PeerTrust,
  SocketAddress,
} from "@quaymesh/protocol";
import { Admission } from "./admission.ts";
import type { Admitted } from "./admission.ts";
import { AsyncQueue } from "./async-queue.ts";
import type { Binding, HostPort, NativeConfig, NativeConnection } from "./binding.ts";
import { QuicConnection } from "./connection.ts";
import { RefusalCounters } from "./counters.ts";
import { Endpoint } from "./endpoint.ts";
import type { EndpointOwner } from "./endpoint.ts";
import { judge } from "./judge.ts";
import { StatelessResets } from "./stateless-reset.ts";
import { Link } from "./link.ts";
import type { StreamMemory } from "./slabs.ts";
import { MAX_HANDSHAKE_BYTES, ServerHandshake } from "./server-handshake.ts";
import type { HandshakeOutcome } from "./server-handshake.ts";
import type { ResolvedOptions } from "./options.ts";
import type { DatagramSource, UdpSocket } from "./udp-socket.ts";

/** What a listener is made of. */
export interface ListenerParts {
  readonly binding: Binding;
  readonly socket: UdpSocket;
  readonly options: ResolvedOptions;
  readonly memory: StreamMemory;
  /** Closes the listener. */
  readonly signal: AbortSignal | undefined;
  readonly limits: ListenLimits;
  readonly trust: PeerTrust;
  readonly credentials: Credentials;
  readonly resetSecret: Uint8Array | undefined;
  /** The largest datagram any of the configurations sends. */
  readonly datagramBytes: number;
  /** The configuration for a client at this address. */
  readonly configFor: (host: string) => NativeConfig;
}

/** A listening endpoint. */
export class QuicListener implements Listener, EndpointOwner {
  readonly #parts: ListenerParts;
  readonly #endpoint: Endpoint;
  readonly #admission: Admission;
  readonly #resets: StatelessResets;
  readonly #refused = new RefusalCounters();
  readonly #accepted = new AsyncQueue<Connection>();
  readonly #handshakes = new Set<Link>();
  #acceptedCount = 0;
  #closing: Promise<void> | undefined;

  constructor(parts: ListenerParts) {
    const { binding, socket, options, limits } = parts;
    this.#parts = parts;
    this.#resets = new StatelessResets(parts.resetSecret ?? parts.credentials.keyPem, performance.now());
    this.#endpoint = new Endpoint(socket, parts.datagramBytes, this);
    this.#admission = new Admission(
      {
        binding,
        refused: this.#refused,
        maxConnections: limits.maxConnections,
        retry: options.retry,
        handshakeBudget: options.handshakeBudget,
        reply: (packet, to) => this.#reply(packet, to),
      },
      performance.now(),
    );
    parts.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => void this.close();

  #reply(packet: Uint8Array, to: DatagramSource): void {
    this.#parts.socket.send(packet, packet.length, { host: to.address, port: to.port });
  }

  get address(): SocketAddress {
    return this.#parts.socket.local;
  }

  stats(): ListenerStats {
    const { socket } = this.#parts;
    return {
      connections: this.#endpoint.size,
      accepted: this.#acceptedCount,
      refused: this.#refused.snapshot(),
      datagramsReceived: socket.received,
      datagramsSent: socket.sent,
      sendErrors: socket.sendErrors,
    };
  }

  [Symbol.asyncIterator](): AsyncIterator<Connection, undefined> {
    return this.#accepted[Symbol.asyncIterator]();
  }

  close(code: number = CLOSE_CODES.ok, reason = ""): Promise<void> {
    this.#closing ??= this.#shut(code, reason);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // EndpointOwner

  stray(datagram: Buffer, from: DatagramSource): void {
    if (this.#closing !== undefined) return;
    const now = performance.now();
    const reset = this.#resets.answer(datagram, now);
    if (reset !== undefined) {
      this.#refused.add("reset");
      this.#reply(reset, from);
      return;
    }
    const load = { halfOpen: this.#handshakes.size, connections: this.#endpoint.size };
    const admitted = this.#admission.admit(datagram, from, load, now);
    if (admitted !== undefined) this.#begin(admitted, datagram, from);
  }

  released(link: Link): void {
    this.#handshakes.delete(link);
  }

  fault(): void {
    // Counted by the socket; a listener has nothing to give up for it.
  }

  async #shut(code: number, reason: string): Promise<void> {
    this.#parts.signal?.removeEventListener("abort", this.#onAbort);
    this.#accepted.end();
    const text = Buffer.from(reason);
    for (const link of this.#endpoint.links()) {
      if (!this.#handshakes.has(link)) link.flush();
      link.close(true, code, text, { kind: "local" });
    }
    await this.#endpoint.close();
  }

  #begin(admitted: Admitted, datagram: Buffer, from: DatagramSource): void {
    const { binding, socket, configFor, limits } = this.#parts;
    const remote = { host: from.address, port: from.port };
    const { scid, dcid, originalDcid } = admitted;
    let native: NativeConnection;
    try {
      const config = configFor(from.address);
      config.setStatelessResetToken(this.#resets.tokenOf(scid));
      native = binding.Connection.accept(scid, originalDcid, socket.local, remote, config);
    } catch {
      this.#refused.add("handshake");
      return;
    }
    if (!startsWell(native, datagram, { from: remote, to: socket.local })) {
      this.#refused.add("handshake");
      return;
    }
    const link: Link = new Link(native, this.#endpoint, remote, new ServerHandshake(() => link, this.#outcome));
    link.hearsAtMost(MAX_HANDSHAKE_BYTES);
    this.#handshakes.add(link);
    this.#endpoint.add(link, [scid, dcid]);
    link.expireAt(performance.now() + limits.handshakeTimeoutMs);
    link.wake();
  }

  readonly #outcome: HandshakeOutcome = {
    established: (link) => {
      this.#handshakes.delete(link);
      const judgement = judge(link.native, this.#parts.trust);
      if (judgement.kind === "refuse") {
        this.#refused.add(judgement.reason);
        refuse(link, REFUSAL_CODES[judgement.reason], judgement.reason);
        return;
      }
      const { firstByteTimeoutMs, idleTimeoutMs } = this.#parts.limits;
      const connection = new QuicConnection(link, this.#parts.memory, {
        peer: judgement.peer,
        isDialer: false,
        idleTimeoutMs,
        firstByteTimeoutMs,
      });
      this.#acceptedCount += 1;
      this.#accepted.push(connection);
      connection.process();
    },
    failed: (link, reason) => {
      this.#handshakes.delete(link);
      this.#refused.add(reason);
    },
  };
}

/** RFC 9001 section 4.8. Below it: errors of QUIC itself. */
const FIRST_CRYPTO_ERROR = 0x100;

// Noise in the shape of an Initial never gets a place, not even for a turn. A client whose TLS failed does: it is told why.
const startsWell = (native: NativeConnection, datagram: Buffer, info: { from: HostPort; to: HostPort }): boolean => {
  try {
    native.recv(datagram, info);
    return true;
  } catch {
    return (native.localError()?.errorCode ?? 0) >= FIRST_CRYPTO_ERROR;
  }
};

const refuse = (link: Link, code: number, reason: string): void => {
  link.close(false, code, Buffer.from(reason), { kind: "transport", code, reason, byPeer: false });
};
