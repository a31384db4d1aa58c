import { TransportError } from "../errors.ts";
import { CLOSE_CODES } from "../transport/close.ts";
import type {
  BoundAddress,
  Connection,
  Credentials,
  Listener,
  ListenOptions,
  PeerIdentity,
  SocketAddress,
} from "../transport/port.ts";
import type { ListenerCut, ListenerRefusal, ListenerStats } from "../transport/stats.ts";
import type { MemoryConnection } from "./connection.ts";
import { AsyncQueue } from "./queue.ts";

/** A listener of the memory network. */
export class MemoryListener implements Listener {
  readonly addresses: readonly BoundAddress[];
  options: ListenOptions;
  readonly #peerOf: (credentials: Credentials) => PeerIdentity;
  #peer: PeerIdentity;
  readonly #onClose: () => void;
  readonly #incoming = new AsyncQueue<Connection>();
  readonly #connections = new Set<MemoryConnection>();
  readonly #refused: Partial<Record<ListenerRefusal, number>> = {};
  readonly #cut: Partial<Record<ListenerCut, number>> = {};
  #bytesReceived = 0;
  #bytesSent = 0;
  #accepted = 0;
  #open = true;

  constructor(
    addresses: readonly BoundAddress[],
    options: ListenOptions,
    peerOf: (credentials: Credentials) => PeerIdentity,
    onClose: () => void,
  ) {
    this.addresses = addresses;
    this.options = options;
    this.#peerOf = peerOf;
    this.#peer = peerOf(options.credentials);
    this.#onClose = onClose;
  }

  /** Who dialers see now. */
  get peer(): PeerIdentity {
    return this.#peer;
  }

  setCredentials(credentials: Credentials): void {
    this.#peer = this.#peerOf(credentials);
  }

  setTrustAnchors(anchorsPem: string): void {
    const { trust } = this.options;
    if (trust.kind !== "anchored")
      throw new TransportError("CREDENTIALS_INVALID", "peers are not judged by anchors here");
    this.options = { ...this.options, trust: { ...trust, anchorsPem } };
  }

  get address(): SocketAddress {
    const [{ host, port } = { host: "", port: 0 }] = this.addresses;
    return { host, port };
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Count a dialer that was turned away. */
  countRefusal(reason: ListenerRefusal, remoteAddress: SocketAddress): void {
    this.#refused[reason] = (this.#refused[reason] ?? 0) + 1;
    this.options.onRefused?.({ reason, remoteAddress });
  }

  /** Hold an accepted connection until it closes, and give it out. */
  admit(connection: MemoryConnection): void {
    this.#accepted++;
    this.#connections.add(connection);
    void connection.closed.then((close) => {
      this.#connections.delete(connection);
      const { bytesReceived, bytesSent } = connection.stats();
      this.#bytesReceived += bytesReceived;
      this.#bytesSent += bytesSent;
      if (close.kind === "idle") this.#cut.idle = (this.#cut.idle ?? 0) + 1;
    });
    this.#incoming.push(connection);
  }

  stats(): ListenerStats {
    const live = [...this.#connections].map((connection) => connection.stats());
    return {
      connections: this.#connections.size,
      halfOpen: 0,
      accepted: this.#accepted,
      refused: { ...this.#refused },
      cut: { ...this.#cut },
      throttled: 0,
      datagramsReceived: 0,
      datagramsSent: 0,
      bytesReceived: live.reduce((sum, { bytesReceived }) => sum + bytesReceived, this.#bytesReceived),
      bytesSent: live.reduce((sum, { bytesSent }) => sum + bytesSent, this.#bytesSent),
      sendErrors: 0,
    };
  }

  async close(code: number = CLOSE_CODES.ok, reason = ""): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#onClose();
    this.#incoming.close();
    const connections = [...this.#connections];
    for (const connection of connections) connection.close(code, reason);
    await Promise.all(connections.map((connection) => connection.closed));
  }

  [Symbol.asyncIterator](): AsyncIterator<Connection> {
    return this.#incoming[Symbol.asyncIterator]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
