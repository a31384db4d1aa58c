import type { Link, LinkHost } from "./link.ts";
import { reportFault } from "./faults.ts";
import { SendSlab } from "./slabs.ts";
import { destinationIdOf } from "./datagram-shape.ts";
import type { DatagramSource, UdpHandler, UdpSocket } from "./udp-socket.ts";

/** What an endpoint asks of its owner. */
export interface EndpointOwner {
  /** A datagram of no known connection. */
  stray(datagram: Buffer, from: DatagramSource): void;
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
  readonly slab: SendSlab;
  readonly #owner: EndpointOwner;
  readonly #byId = new Map<string, Link>();
  readonly #idsOf = new Map<Link, readonly string[]>();
  #due: Link[] = [];
  #turnPending = false;
  #closed = false;

  constructor(socket: UdpSocket, datagramBytes: number, owner: EndpointOwner) {
    this.socket = socket;
    this.#owner = owner;
    this.slab = new SendSlab(datagramBytes, () => socket.queued());
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

  datagram(datagram: Buffer, from: DatagramSource): void {
    if (this.#closed) return;
    const id = destinationIdOf(datagram);
    const link = id === undefined ? undefined : this.#byId.get(id);
    if (link === undefined) this.#owner.stray(datagram, from);
    else link.receive(datagram, from);
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
    // By index: continuations may add links while this runs.
    for (let index = 0; index < this.#due.length; index += 1) {
      const link = this.#due[index];
      if (link !== undefined) guarded(link, () => link.process());
    }
    // After the microtasks that delivery made runnable, and those they make in turn.
    queueMicrotask(this.#afterMicrotasks);
  };

  readonly #afterMicrotasks = (): void => process.nextTick(this.#transmit);

  readonly #transmit = (): void => {
    this.#turnPending = false;
    const due = this.#due;
    this.#due = [];
    for (const link of due) {
      guarded(link, () => link.flush());
      link.scheduled = false;
    }
  };

  /** Send what is due now, without waiting for the turn. */
  flushNow(): void {
    if (this.#closed) return;
    for (const link of this.#due.splice(0)) {
      guarded(link, () => link.flush());
      link.scheduled = false;
    }
  }

  /** Forget every connection and release the port. Idempotent. */
  async close(): Promise<void> {
    this.flushNow();
    this.#closed = true;
    for (const link of this.links()) link.abandon({ kind: "local" });
    await this.socket.close();
  }
}

// A fault in one connection must not end the others, let alone the process.
const guarded = (link: Link, work: () => void): void => {
  try {
    work();
  } catch (error) {
    reportFault("connection", error);
    link.fault();
  }
};
