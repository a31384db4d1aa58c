import type { HostPort } from "./binding.ts";
import { SendSlab } from "./slabs.ts";
import type { SendBatch } from "./syscalls/send-batch.ts";
import type { UdpSocket } from "./udp-socket.ts";

/** Where an endpoint's datagrams are written, and how they leave. */
export interface Outgoing {
  /** Room for one datagram, valid until the next call of `take`. */
  slot(): Buffer;
  /** The first `bytes` of the last slot are a datagram to `to`. */
  take(bytes: number, to: HostPort): void;
  /** Everything taken leaves now. */
  flush(): void;
}

/** @param datagramBytes the longest datagram */
export function outgoingOf(socket: UdpSocket, datagramBytes: number): Outgoing {
  const { batch } = socket;
  return batch === undefined ? new EachAlone(socket, datagramBytes) : new Together(socket, datagramBytes, batch);
}

/** One system call a datagram, at once. */
class EachAlone implements Outgoing {
  readonly #socket: UdpSocket;
  readonly #slab: SendSlab;
  #slot: Buffer;

  constructor(socket: UdpSocket, datagramBytes: number) {
    this.#socket = socket;
    this.#slab = new SendSlab(datagramBytes, () => socket.queued());
    this.#slot = Buffer.alloc(0);
  }

  slot(): Buffer {
    this.#slot = this.#slab.slot();
    return this.#slot;
  }

  take(bytes: number, to: HostPort): void {
    this.#slab.take(bytes);
    this.#socket.send(this.#slot, bytes, to);
  }

  flush(): void {
    // Nothing waits.
  }
}

/** Many datagrams a system call, when the turn ends. */
class Together implements Outgoing {
  readonly #socket: UdpSocket;
  readonly #datagramBytes: number;
  readonly #batch: SendBatch;

  constructor(socket: UdpSocket, datagramBytes: number, batch: SendBatch) {
    this.#socket = socket;
    this.#datagramBytes = datagramBytes;
    this.#batch = batch;
  }

  slot(): Buffer {
    return this.#batch.slot(this.#socket, this.#datagramBytes);
  }

  take(bytes: number, to: HostPort): void {
    this.#batch.take(bytes, to);
    this.#socket.count(bytes);
  }

  flush(): void {
    this.#batch.flush(this.#socket);
  }
}
