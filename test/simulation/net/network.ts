import { X509Certificate } from "node:crypto";
import {
  CLOSE_CODES,
  QUIC_ERRORS,
  REFUSAL_CODES,
  TransportError,
  type BoundAddress,
  type CloseInfo,
  type Connection,
  type Credentials,
  type DialOptions,
  type Listener,
  type ListenerStats,
  type ListenOptions,
  type PeerIdentity,
  type SocketAddress,
  type Transport,
} from "@quaymesh/protocol";
import { opaquePeer } from "@quaymesh/protocol/memory";
import { certificatesFromPem, sha256 } from "@quaymesh/identity";
import { AsyncQueue } from "../../../packages/protocol/src/memory/queue.ts";
import type { Process } from "../process.ts";
import { SimConnection } from "./connection.ts";
import type { Path } from "./path.ts";

const HANDSHAKE_MS = 5000;
const IDLE_MS = 30_000;
/** Where the gateway is. */
export const GATEWAY_ADDRESS: SocketAddress = { host: "gateway", port: 7420 };
/** A port on which nobody is. */
const FIRST_LOCAL_PORT = 50_000;

/** Places to listen, by their port, and a path to them from every machine that dials. */
export class SimNetwork {
  readonly #paths = new Map<string, Path>();
  readonly #windowBytes: number;
  readonly #listeners = new Map<number, SimListener>();
  readonly #diverted = new Map<string, ReadonlyMap<number, number>>();
  #nextPort = FIRST_LOCAL_PORT;

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
  }

  addPath(machine: string, path: Path): void {
    this.#paths.set(machine, path);
  }

  /** Whoever is on this machine's path answers in place of some ports; `undefined`: nobody is. */
  divert(machine: string, ports: ReadonlyMap<number, number> | undefined): void {
    if (ports === undefined) this.#diverted.delete(machine);
    else this.#diverted.set(machine, ports);
  }

  /** The network as `process` uses it. */
  transport(process: Process): Transport {
    return {
      listen: async (options) => {
        const listener = new SimListener(options, process);
        this.#listeners.set(listener.address.port, listener);
        return listener;
      },
      dial: (address, options) => this.#dial(address, options, process),
    };
  }

  async #dial(remoteAddress: SocketAddress, options: DialOptions, process: Process): Promise<Connection> {
    options.signal?.throwIfAborted();
    const path = this.#paths.get(process.machine.name);
    if (path === undefined) throw new TransportError("UNREACHABLE", "there is no path");
    const answered = Promise.withResolvers<Connection>();
    const localAddress = { host: process.machine.name, port: this.#nextPort++ };
    const port = this.#diverted.get(process.machine.name)?.get(remoteAddress.port) ?? remoteAddress.port;
    let waits = true;
    const common = { path, windowBytes: this.#windowBytes, idleTimeoutMs: IDLE_MS };
    const wanted = (): boolean => waits && process.alive;
    path.carry("to-gateway", {
      wanted,
      arrive: () => {
        const listener = this.#listeners.get(port);
        if (!waits || listener === undefined || !listener.open) return;
        path.carry("to-node", {
          wanted,
          arrive: () => {
            if (!waits || !process.alive || !listener.process.alive) return;
            waits = false;
            const shown = peerOf(listener.options.credentials);
            const verdict =
              options.trust.kind === "judged" ? options.trust.authorize(shown) : { kind: "accept" as const };
            if (verdict.kind === "refuse") {
              answered.reject(new TransportError("PEER_REFUSED", `the peer was refused (${verdict.reason})`));
              return;
            }
            const near = new SimConnection({
              ...common,
              process,
              direction: "to-gateway",
              peer: shown,
              remoteAddress,
              localAddress,
            });
            const far = new SimConnection({
              ...common,
              process: listener.process,
              direction: "to-node",
              peer: peerOf(options.credentials),
              remoteAddress: localAddress,
              localAddress: remoteAddress,
            });
            near.join(far);
            let judged = false;
            path.carry("to-gateway", {
              wanted: () => process.alive && !judged,
              arrive: () => {
                if (judged || !listener.process.alive) return;
                judged = true;
                listener.admit(far);
              },
            });
            answered.resolve(near);
          },
        });
      },
    });
    const late = process.after(options.handshakeTimeoutMs ?? HANDSHAKE_MS, () => {
      waits = false;
      answered.reject(new TransportError("HANDSHAKE_TIMEOUT", "nobody answered"));
    });
    const onAbort = (): void => {
      waits = false;
      answered.reject(options.signal?.reason);
    };
    options.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await answered.promise;
    } finally {
      late();
      options.signal?.removeEventListener("abort", onAbort);
    }
  }
}

/** What was shown before is the same object again, so that whoever has judged it may remember. */
const SHOWN = new WeakMap<Credentials, PeerIdentity>();

function peerOf(credentials: Credentials): PeerIdentity {
  const peer = SHOWN.get(credentials) ?? readPeer(credentials);
  SHOWN.set(credentials, peer);
  return peer;
}

/** Real certificates are seen as TLS shows them, others as they are. */
function readPeer(credentials: Credentials): PeerIdentity {
  if (!credentials.chainPem.startsWith("-----BEGIN")) return opaquePeer(credentials);
  const chain = certificatesFromPem(credentials.chainPem);
  const leaf = new X509Certificate(chain[0] ?? new Uint8Array());
  return { chain, spkiSha256: sha256(leaf.publicKey.export({ type: "spki", format: "der" })) };
}

class SimListener implements Listener {
  readonly options: ListenOptions;
  readonly process: Process;
  readonly addresses: readonly BoundAddress[];
  readonly #incoming = new AsyncQueue<Connection>();
  readonly #connections = new Set<SimConnection>();
  #open = true;

  constructor(options: ListenOptions, process: Process) {
    this.options = options;
    this.process = process;
    const asked = [options.address].flat();
    this.addresses = asked.map((each) => {
      const { host, port } = "host" in each ? each : GATEWAY_ADDRESS;
      return { host, port, asked: each };
    });
  }

  get address(): SocketAddress {
    return this.addresses[0] ?? GATEWAY_ADDRESS;
  }

  /** Whether a dialer is answered. */
  get open(): boolean {
    return this.#open && this.process.alive;
  }

  /** The dialer has completed TLS: judge it. It believes itself connected already. */
  admit(connection: SimConnection): void {
    const { trust, limits } = this.options;
    if (this.#connections.size >= (limits?.maxConnections ?? Infinity)) {
      const code = QUIC_ERRORS.connectionRefused;
      return this.#refuse(connection, { kind: "transport", code, reason: "busy", byPeer: false });
    }
    if (!this.#open) return this.#refuse(connection, { kind: "local" });
    const verdict = trust.authorize?.(connection.peer) ?? { kind: "accept" };
    if (verdict.kind === "refuse") {
      const { reason } = verdict;
      return this.#refuse(connection, { kind: "transport", code: REFUSAL_CODES[reason], reason, byPeer: false });
    }
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    return this.#incoming.push(connection);
  }

  /** Nothing is encrypted here. */
  setCredentials(): void {}

  /** Nobody is verified here. */
  setTrustAnchors(): void {}

  stats(): ListenerStats {
    const none = { datagramsReceived: 0, datagramsSent: 0, bytesReceived: 0, bytesSent: 0, sendErrors: 0 };
    const connections = this.#connections.size;
    return { connections, halfOpen: 0, accepted: 0, refused: {}, cut: {}, throttled: 0, ...none };
  }

  async close(code: number = CLOSE_CODES.ok, reason = ""): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#incoming.close();
    for (const connection of this.#connections) connection.close(code, reason);
  }

  [Symbol.asyncIterator](): AsyncIterator<Connection> {
    return this.#incoming[Symbol.asyncIterator]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #refuse(connection: SimConnection, info: CloseInfo): void {
    connection.refuse(info);
  }
}
