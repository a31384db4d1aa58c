import { CLOSE_CODES, REFUSAL_CODES } from "@quaymesh/protocol";
import type {
  BoundAddress,
  Connection,
  Credentials,
  Listener,
  ListenerCut,
  ListenerRefusal,
  ListenerStats,
  PeerIdentity,
  RefusedAttempt,
  SocketAddress,
} from "@quaymesh/protocol";
import { shownHost, systemAddress } from "./address.ts";
import { Admission } from "./admission.ts";
import type { Admitted, Places } from "./admission.ts";
import { AsyncQueue } from "./async-queue.ts";
import type { NativeConnection } from "./binding.ts";
import { QuicConnection } from "./connection.ts";
import { contained } from "./contained.ts";
import { Counters } from "./counters.ts";
import { Endpoint } from "./endpoint.ts";
import type { EndpointOwner } from "./endpoint.ts";
import { reportFault } from "./faults.ts";
import { HalfOpen } from "./half-open.ts";
import { judge } from "./judge.ts";
import type { ListenerParts } from "./listener-parts.ts";
import { PathLimit } from "./path-limit.ts";
import type { PeerBounds } from "./peer-share.ts";
import { StatelessResets } from "./stateless-reset.ts";
import { Link } from "./link.ts";
import { CONNECTION_REFUSE } from "./observe/channels.ts";
import type { ConnectionRefused } from "./observe/channels.ts";
import type { ConnectionTrace } from "./observe/trace.ts";
import { MAX_HANDSHAKE_BYTES, ServerHandshake, startsWell } from "./server-handshake.ts";
import type { HandshakeOutcome } from "./server-handshake.ts";
import type { DatagramSource } from "./udp-socket.ts";

/** A listener on one or several sockets. Admission and its limits are one; each connection stays with the socket it came in on. */
export class QuicListener implements Listener, EndpointOwner {
  readonly #parts: ListenerParts;
  readonly #endpoints: readonly Endpoint[];
  /** Where the stray datagram came in that is being looked at: answers leave by the same socket. */
  #hearing: Endpoint | undefined;
  readonly addresses: readonly BoundAddress[];
  readonly #admission: Admission;
  readonly #resets: StatelessResets;
  readonly #refused = new Counters<ListenerRefusal>();
  readonly #cut = new Counters<ListenerCut>();
  readonly #accepted = new AsyncQueue<Connection>();
  readonly #halfOpen: HalfOpen;
  /** One for all connections. */
  readonly #bounds: PeerBounds;
  #acceptedCount = 0;
  #throttled = 0;
  #closing: Promise<void> | undefined;

  constructor(parts: ListenerParts) {
    const { binding, sockets, options, limits } = parts;
    this.#parts = parts;
    this.#halfOpen = new HalfOpen(limits.maxHalfOpen);
    this.#bounds = {
      limits,
      cut: (reason) => this.#cut.add(reason),
      throttled: () => {
        this.#throttled += 1;
      },
    };
    this.#resets = new StatelessResets(parts.resetSecret, performance.now());
    this.addresses = sockets.map(({ socket, asked }) => ({ ...socket.local, asked }));
    this.#endpoints = sockets.map(({ socket }) => new Endpoint(socket, parts.datagramBytes, this));
    this.#admission = new Admission(
      {
        binding,
        refused: (reason, from, attempt) => this.#refuse(reason, from, attempt && { attempt: hex(attempt) }),
        places: this.#places(),
        retry: options.retry,
        handshakeBudget: options.handshakeBudget,
        reply: (packet, to) => this.#reply(packet, to),
      },
      performance.now(),
    );
    parts.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  setCredentials(credentials: Credentials): void {
    this.#parts.identification.setCredentials(credentials);
  }

  setTrustAnchors(anchorsPem: string): void {
    this.#parts.identification.setTrustAnchors(anchorsPem);
  }

  readonly #onAbort = (): void => void this.close().catch((error: unknown) => reportFault("listener", error));

  #places(): Places {
    const halfOpen = this.#halfOpen;
    return {
      get halfOpen() {
        return halfOpen.size;
      },
      claim: (from) => {
        const isFull = this.#connections() >= this.#parts.limits.maxConnections;
        if (halfOpen.makeRoom(from, isFull)) return "granted";
        return isFull ? "busy" : "half-open";
      },
    };
  }

  #refuse(reason: ListenerRefusal, from: DatagramSource, facts?: Pick<RefusedAttempt, "attempt" | "close">): void {
    this.#refused.add(reason);
    const { onRefused } = this.#parts;
    const isTold = onRefused !== undefined && !NO_ATTEMPT.has(reason);
    if (!CONNECTION_REFUSE.hasSubscribers && !isTold) return;
    const remoteAddress = { host: shownHost(from.address), port: from.port };
    if (isTold) onRefused({ reason, remoteAddress, ...facts });
    CONNECTION_REFUSE.publish({ reason, remoteAddress } satisfies ConnectionRefused);
  }

  #reply(packet: Uint8Array, to: DatagramSource): void {
    this.#hearing?.socket.send(packet, packet.length, systemAddress({ host: to.address, port: to.port }));
  }

  get address(): SocketAddress {
    const [{ host, port } = { host: "", port: 0 }] = this.addresses;
    return { host, port };
  }

  stats(): ListenerStats {
    const sockets = this.#endpoints.map(({ socket }) => socket);
    return {
      connections: this.#connections(),
      halfOpen: this.#halfOpen.size,
      accepted: this.#acceptedCount,
      refused: this.#refused.snapshot(),
      cut: this.#cut.snapshot(),
      throttled: this.#throttled,
      datagramsReceived: sum(sockets, (socket) => socket.received),
      datagramsSent: sum(sockets, (socket) => socket.sent),
      bytesReceived: sum(sockets, (socket) => socket.receivedBytes),
      bytesSent: sum(sockets, (socket) => socket.sentBytes),
      sendErrors: sum(sockets, (socket) => socket.sendErrors),
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

  stray(datagram: Buffer, from: DatagramSource, endpoint: Endpoint): void {
    if (this.#closing !== undefined) return;
    // A connection's datagram, sent to another of our addresses: a reset would end a connection that is alive.
    if (this.#endpoints.length > 1 && this.#endpoints.some((other) => other.knows(datagram))) return;
    this.#hearing = endpoint;
    const now = performance.now();
    const reset = this.#resets.answer(datagram, now);
    if (reset !== undefined) {
      this.#refuse("reset", from);
      this.#reply(reset, from);
      return;
    }
    const admitted = this.#admission.admit(datagram, from, now);
    if (admitted !== undefined) this.#begin(admitted, datagram, from, endpoint);
  }

  released(link: Link): void {
    this.#halfOpen.delete(link);
  }

  fault(): void {
    // Counted by the socket; a listener has nothing to give up for it.
  }

  #connections(): number {
    return sum(this.#endpoints, (endpoint) => endpoint.size);
  }

  async #shut(code: number, reason: string): Promise<void> {
    this.#parts.signal?.removeEventListener("abort", this.#onAbort);
    this.#accepted.end();
    const text = Buffer.from(reason);
    try {
      for (const link of this.#endpoints.flatMap((endpoint) => endpoint.links())) {
        contained(link, () => {
          if (!this.#halfOpen.has(link)) link.flush();
          link.close(true, code, text, { kind: "local" });
        });
      }
    } finally {
      await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
    }
  }

  #begin(admitted: Admitted, datagram: Buffer, from: DatagramSource, endpoint: Endpoint): void {
    const { binding, limits } = this.#parts;
    const { local } = endpoint;
    const remote = { host: from.address, port: from.port };
    const { scid, dcid, originalDcid } = admitted;
    const attempt = hex(originalDcid ?? dcid);
    let native: NativeConnection;
    try {
      const config = this.#parts.identification.configFor(from.address);
      config.setStatelessResetToken(this.#resets.tokenOf(scid));
      native = binding.Connection.accept(scid, originalDcid, local, remote, config);
    } catch {
      this.#refuse("handshake", from, { attempt });
      return;
    }
    if (!startsWell(native, datagram, { from: remote, to: local })) {
      this.#refuse("handshake", from, { attempt });
      return;
    }
    const remoteAddress = { host: shownHost(remote.host), port: remote.port };
    const trace = this.#parts.tracer?.begin({
      role: "listener",
      originalDcid: attempt,
      localAddress: endpoint.socket.local,
      remoteAddress,
    });
    const outcome = this.#outcomeOf(from, { remoteAddress, trace, attempt });
    const handshake: ServerHandshake = new ServerHandshake(() => link, outcome);
    const link: Link = new Link(native, endpoint, remote, handshake);
    link.tap = trace;
    trace?.received(datagram.length);
    if (!this.#parts.isTrusted(from.address)) link.pathLimit = new PathLimit();
    link.hearsAtMost(MAX_HANDSHAKE_BYTES);
    const now = performance.now();
    this.#halfOpen.add(link, handshake, { host: from.address, validated: originalDcid !== undefined, now });
    endpoint.add(link, [scid, dcid]);
    link.expireAt(now + limits.handshakeTimeoutMs);
    link.wake();
    // Not when the turn ends: its other handshakes take a while, in which this client can get on with its own part.
    endpoint.answer(link);
  }

  #outcomeOf(from: DatagramSource, origin: Origin): HandshakeOutcome {
    return {
      established: (link) => {
        this.#halfOpen.delete(link);
        const judgement = judge(link.native, this.#parts.identification.trust);
        if (judgement.kind === "refuse") {
          this.#refuse(judgement.reason, from, { attempt: origin.attempt });
          refuse(link, REFUSAL_CODES[judgement.reason], judgement.reason);
        } else this.#accept(link, judgement.peer, origin);
      },
      failed: (link, reason, close) => {
        this.#halfOpen.delete(link);
        this.#refuse(reason, from, { attempt: origin.attempt, ...(close && { close }) });
      },
    };
  }

  #accept(link: Link, peer: PeerIdentity, origin: Origin): void {
    const { limits, memory } = this.#parts;
    const { firstByteTimeoutMs, idleTimeoutMs } = limits;
    const connection = new QuicConnection(link, memory, {
      peer,
      isDialer: false,
      idleTimeoutMs,
      firstByteTimeoutMs,
      bounds: this.#bounds,
      ...origin,
    });
    this.#acceptedCount += 1;
    this.#accepted.push(connection);
    connection.process();
  }
}

/** Where a client was when it began, and what is written down of it. */
interface Origin {
  readonly remoteAddress: SocketAddress;
  readonly trace: ConnectionTrace | undefined;
  readonly attempt: string;
}

/** Nobody asked to be let in. */
const NO_ATTEMPT: ReadonlySet<ListenerRefusal> = new Set(["shape", "version", "reset", "retry"]);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const sum = <T>(items: readonly T[], count: (item: T) => number): number =>
  items.reduce((total, item) => total + count(item), 0);

const refuse = (link: Link, code: number, reason: string): void => {
  link.close(false, code, Buffer.from(reason), { kind: "transport", code, reason, byPeer: false });
};
