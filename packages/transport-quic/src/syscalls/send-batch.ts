import type { HostPort } from "../binding.ts";
import type { Libc } from "./libc.ts";
import { MessageBlock } from "./message-block.ts";
import { SegmentationRefusals } from "./segmentation.ts";
import { writeSockaddr } from "./sockaddr.ts";

/** Messages of one system call. */
const MAX_MESSAGES = 64;
/** What the kernel cuts one message into at most (`UDP_MAX_SEGMENTS`). */
const MAX_SEGMENTS = 64;
/** What one message may carry: an IPv4 packet less its headers. */
const MAX_MESSAGE_BYTES = 65_507;
/**
 * A datagram of this length, on loopback, leaves at once: it is worth a call, and its receiver works on it while the next is made. Gathered, events on loopback fell by a third, at equal CPU time. The
 * same goes for taking them in.
 */
export const LARGE_DATAGRAM_BYTES = 8192;
/** Room for what one connection may have in flight in a turn, several times over; the rest goes in another call. */
const SLAB_BYTES = 1 << 20;
/** `MSG_DONTWAIT | MSG_NOSIGNAL`, Linux. */
const FLAGS = 0x4040;
/** The send failed because the kernel or its driver does not cut messages, or not for this path. */
const NO_SEGMENTATION: ReadonlySet<string> = new Set(["EINVAL", "EIO", "EMSGSIZE", "ENOPROTOOPT", "EOPNOTSUPP"]);
/** An error of an earlier datagram, told on a connected socket in place of sending this one. */
const OF_AN_EARLIER_ONE: ReadonlySet<string> = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EINTR"]);

/** What a batch needs of the socket it sends on. */
export interface BatchSocket {
  /** -1 once it is closed: the number may be somebody else's by then. */
  readonly fd: number;
  readonly family: 4 | 6;
  /** The socket has one peer, and messages carry no address. */
  readonly isConnected: boolean;
  /** Datagrams that wait because the kernel had no room. */
  queued(): number;
  /** Send one datagram the slow way; it is copied. */
  sendCopy(datagram: Uint8Array, to: HostPort): void;
  /** The kernel refused a message of `datagrams`, which are lost; 0: it told of an earlier one. May close the socket. */
  refused(code: string, datagrams: number, bytes: number): void;
}

/** What a socket is told once a batch has left. */
interface Refusal {
  readonly socket: BatchSocket;
  readonly code: string;
  readonly datagrams: number;
  readonly bytes: number;
}

/** Datagrams of one length to one address, one after the other in memory; the last may be shorter. */
interface Run {
  readonly start: number;
  readonly to: HostPort;
  readonly segment: number;
  bytes: number;
  count: number;
}

/**
 * Gathers the datagrams of a turn and hands them to the kernel in as few system calls as possible: `sendmmsg` for those to different peers, and segmentation by the
 * kernel (UDP GSO) for those of one length to one peer. The memory is used again as soon as a call returns, so one batch serves all sockets of a process.
 */
export class SendBatch {
  readonly #libc: Libc;
  readonly #block: MessageBlock;
  readonly #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  readonly #address: bigint;
  readonly #unsegmented = new SegmentationRefusals();
  #refusals: Refusal[] = [];
  #socket: BatchSocket | undefined;
  #runs: Run[] = [];
  #end = 0;
  #isSealed = true;

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#block = new MessageBlock(libc, MAX_MESSAGES);
    this.#address = libc.addressOf(this.#slab.buffer);
  }

  /** Room for one datagram of up to `bytes` on `socket`, valid until the next call. */
  slot(socket: BatchSocket, bytes: number): Buffer {
    if (this.#socket !== socket || this.#end + bytes > SLAB_BYTES) {
      this.flush();
      this.#socket = socket;
    }
    return this.#slab.subarray(this.#end, this.#end + bytes);
  }

  /** The first `bytes` of the last slot are a datagram to `to`. */
  take(bytes: number, to: HostPort): void {
    const run = this.#isSealed ? undefined : this.#runs.at(-1);
    if (run !== undefined && canJoin(run, bytes, to)) {
      run.bytes += bytes;
      run.count += 1;
      this.#isSealed = bytes < run.segment;
    } else {
      if (this.#runs.length === MAX_MESSAGES) this.#transmit();
      this.#runs.push({ start: this.#end, to, segment: bytes, bytes, count: 1 });
      this.#isSealed = false;
    }
    this.#end += bytes;
    if (bytes >= LARGE_DATAGRAM_BYTES) this.#transmit();
  }

  /** Everything gathered for `socket` leaves now. */
  flush(socket = this.#socket): void {
    if (socket !== this.#socket) return;
    if (this.#runs.length > 0) this.#transmit();
    this.#end = 0;
    this.#socket = undefined;
    if (this.#refusals.length > 0) this.#tell();
  }

  // Last, as whoever is told may close the socket, or send.
  #tell(): void {
    const refusals = this.#refusals;
    this.#refusals = [];
    for (const { socket, code, datagrams, bytes } of refusals) socket.refused(code, datagrams, bytes);
  }

  #transmit(): void {
    const socket = this.#socket;
    const runs = this.#runs;
    this.#runs = [];
    this.#isSealed = true;
    if (socket === undefined) return;
    // What waits must leave first.
    if (socket.queued() > 0) this.#queue(socket, runs);
    else if (this.#unsegmented.any(socket)) this.#sendAll(socket, this.#cutRefused(socket, runs));
    else this.#sendAll(socket, runs);
  }

  #cutRefused(socket: BatchSocket, runs: readonly Run[]): readonly Run[] {
    const now = performance.now();
    return runs.flatMap((run) => (this.#unsegmented.has(socket, run.to.host, now) ? split(run) : run));
  }

  #sendAll(socket: BatchSocket, runs: readonly Run[]): void {
    for (let first = 0; first < runs.length; first += MAX_MESSAGES) {
      this.#send(socket, runs.slice(first, first + MAX_MESSAGES));
    }
  }

  #send(socket: BatchSocket, all: readonly Run[]): void {
    const runs = all.filter((run, index) => this.#describe(socket, run, index));
    if (runs.length < all.length) {
      // An address that can't be written here, such as one of an unknown zone: rare enough to go the slow way with its neighbours.
      this.#queue(socket, all);
      return;
    }
    let isRepeated = false;
    for (let next = 0; next < runs.length && socket.fd >= 0;) {
      const sent = this.#libc.sendmmsg(socket.fd, this.#block.addressFrom(next), runs.length - next, FLAGS);
      const code = sent > 0 ? undefined : this.#libc.errno();
      const run = runs[next];
      if (run === undefined || code === "EAGAIN") {
        this.#queue(socket, runs.slice(next));
        return;
      }
      if (code === undefined) {
        next += sent;
        isRepeated = false;
      } else if (NO_SEGMENTATION.has(code) && run.count > 1) {
        this.#unsegmented.add(socket, run.to.host, performance.now());
        this.#sendAll(socket, this.#cutRefused(socket, runs.slice(next)));
        return;
      } else if (OF_AN_EARLIER_ONE.has(code) && !isRepeated) {
        this.#refusals.push({ socket, code, datagrams: 0, bytes: 0 });
        isRepeated = true;
      } else {
        this.#refusals.push({ socket, code, datagrams: run.count, bytes: run.bytes });
        next += 1;
        isRepeated = false;
      }
    }
  }

  #describe(socket: BatchSocket, run: Run, index: number): boolean {
    const block = this.#block;
    block.setData(index, this.#address + BigInt(run.start), run.bytes);
    block.setSegment(index, run.count > 1 ? run.segment : 0);
    if (socket.isConnected) {
      block.setNameLength(index, 0);
      return true;
    }
    const bytes = writeSockaddr(block.nameOf(index), run.to.host, run.to.port, socket.family);
    block.setNameLength(index, bytes);
    return bytes > 0;
  }

  #queue(socket: BatchSocket, runs: readonly Run[]): void {
    for (const run of runs) {
      for (const { start, bytes } of split(run)) socket.sendCopy(this.#slab.subarray(start, start + bytes), run.to);
    }
  }
}

const canJoin = (run: Run, bytes: number, to: HostPort): boolean =>
  bytes <= run.segment &&
  run.count < MAX_SEGMENTS &&
  run.bytes + bytes <= MAX_MESSAGE_BYTES &&
  run.to.port === to.port &&
  run.to.host === to.host;

const split = (run: Run): Run[] =>
  Array.from({ length: run.count }, (_, index) => {
    const offset = index * run.segment;
    const bytes = Math.min(run.segment, run.bytes - offset);
    return { start: run.start + offset, to: run.to, segment: bytes, bytes, count: 1 };
  });
