import { CLOSE_CODES } from "../transport/close.ts";
import type {
  Connection,
  Listener,
  ListenerStats,
  ListenOptions,
  PeerIdentity,
  SocketAddress,
} from "../transport/port.ts";
import type { MemoryConnection } from "./connection.ts";
import { AsyncQueue } from "./queue.ts";

/** A listening address of the memory network. */
export class MemoryListener implements Listener {
  readonly address: SocketAddress;
  readonly options: ListenOptions;
  readonly peer: PeerIdentity;
  readonly #onClose: () => void;
  readonly #incoming = new AsyncQueue<Connection>();
  readonly #connections = new Set<MemoryConnection>();
  readonly #refused: Record<string, number> = {};
  #accepted = 0;
  #open = true;

  constructor(address: SocketAddress, options: ListenOptions, peer: PeerIdentity, onClose: () => void) {
    this.address = address;
    this.options = options;
    this.peer = peer;
    this.#onClose = onClose;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Count a dialer that was turned away. */
  countRefusal(reason: string): void {
    this.#refused[reason] = (this.#refused[reason] ?? 0) + 1;
  }

  /** Hold an accepted connection until it closes, and give it out. */
  admit(connection: MemoryConnection): void {
    this.#accepted++;
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    this.#incoming.push(connection);
  }

  stats(): ListenerStats {
    return {
      connections: this.#connections.size,
      accepted: this.#accepted,
      refused: { ...this.#refused },
      datagramsReceived: 0,
      datagramsSent: 0,
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
