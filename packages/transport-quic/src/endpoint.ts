import { nativeHost } from "./address.ts";
import type { HostPort } from "./binding.ts";
import { contained } from "./contained.ts";
import type { Link } from "./link.ts";
import type { LinkHost } from "./link-ports.ts";
import { outgoingOf } from "./outgoing.ts";
import type { Outgoing } from "./outgoing.ts";
import { destinationIdOf } from "./datagram-shape.ts";
import type { DatagramSource, UdpHandler, UdpSocket } from "./udp-socket.ts";

/** What an endpoint asks of its owner. */
export interface EndpointOwner {
  /** A datagram of no connection on this endpoint. */
  stray(datagram: Buffer, from: DatagramSource, endpoint: Endpoint): void;
  /** A connection is through and was forgotten. */
  released(link: Link): void;
  /** The socket reported an error. */
  fault(code: string): void;
}

/**
 * One UDP socket and the connections on it. Works in turns: after a batch of datagrams, first TLS and stream data of every connection touched, then, once
 * the promise continuations of that batch have run, one sending pass. An answer so leaves in the packet that acknowledges the question.
 */
export class Endpoint implements LinkHost, UdpHandler {
  readonly socket: UdpSocket;
  /** The socket's address as quiche takes it. */
  readonly local: HostPort;
  readonly outgoing: Outgoing;
  readonly #owner: EndpointOwner;
  readonly #byId = new Map<string, Link>();
  readonly #idsOf = new Map<Link, readonly string[]>();
  #due: Link[] = [];
  #turnPending = false;
  #isSending = false;
  #closed = false;

  constructor(socket: UdpSocket, datagramBytes: number, owner: EndpointOwner) {
    this.socket = socket;
    this.local = { host: nativeHost(socket.local.host), port: socket.local.port };
    this.#owner = owner;
    this.outgoing = outgoingOf(socket, datagramBytes);
    socket.listen(this);
  }

  /** Connections held, draining ones counted. */
  get size(): number {
    return this.#idsOf.size;
  }

  /** Every connection held. */
  links(): Link[] {
    return [...this.#idsOf.keys()];
  }

  /** Route datagrams with these destination connection ids to `link`. */
  add(link: Link, ids: readonly Uint8Array[]): void {
    const keys = ids.map((id) => Buffer.from(id).toString("latin1"));
    for (const key of keys) this.#byId.set(key, link);
    this.#idsOf.set(link, keys);
  }

  /** Whether the datagram is of a connection held here. */
  knows(datagram: Buffer): boolean {
    const id = destinationIdOf(datagram);
    return id !== undefined && this.#byId.has(id);
  }

  datagram(datagram: Buffer, source: DatagramSource): void {
    if (this.#closed) return;
    const id = destinationIdOf(datagram);
    const link = id === undefined ? undefined : this.#byId.get(id);
    const from = source.address.includes("%") ? { ...source, address: nativeHost(source.address) } : source;
    if (link === undefined) this.#owner.stray(datagram, from, this);
    else contained(link, () => link.receive(datagram, from));
  }

  fault(code: string): void {
    this.#owner.fault(code);
  }

  schedule(link: Link): void {
    link.scheduled = true;
    this.#due.push(link);
    if (this.#turnPending) return;
    this.#turnPending = true;
    setImmediate(this.#deliver);
  }

  release(link: Link): void {
    const keys = this.#idsOf.get(link);
    if (keys === undefined) return;
    this.#idsOf.delete(link);
    for (const key of keys) if (this.#byId.get(key) === link) this.#byId.delete(key);
    this.#owner.released(link);
  }

  readonly #deliver = (): void => {
    this.socket.turn();
    // By index: continuations may add links while this runs.
    for (let index = 0; index < this.#due.length; index += 1) {
      const link = this.#due[index];
      if (link !== undefined) contained(link, () => link.process());
    }
    // After the microtasks that delivery made runnable, and those they make in turn.
    queueMicrotask(this.#afterMicrotasks);
  };

  readonly #afterMicrotasks = (): void => process.nextTick(this.#transmit);

  readonly #transmit = (): void => {
    this.#turnPending = false;
    this.#send();
  };

  // One call to the kernel for all connections of the turn, where the platform has one.
  #send(): void {
    const due = this.#due;
    this.#due = [];
    this.#isSending = true;
    for (const link of due) {
      contained(link, () => link.flush());
      link.scheduled = false;
    }
    this.#isSending = false;
    this.outgoing.flush();
  }

  sent(): void {
    if (!this.#isSending) this.outgoing.flush();
  }

  /** Send what `link` has to say now. A link scheduled before is looked at in the next turn all the same. */
  answer(link: Link): void {
    if (!this.#closed) contained(link, () => link.flush());
  }

  /** Send what is due now, without waiting for the turn. */
  flushNow(): void {
    if (!this.#closed) this.#send();
  }

  /** Forget every connection and release the port. Idempotent. */
  async close(): Promise<void> {
    try {
      this.flushNow();
    } finally {
      this.#closed = true;
      for (const link of this.links()) contained(link, () => link.abandon({ kind: "local" }));
      await this.socket.close();
    }
  }
}
