import type { DatagramSource } from "../udp-socket.ts";
import type { Libc } from "./libc.ts";
import { MessageBlock } from "./message-block.ts";
import { AF_INET, readSockaddr, SOCKADDR_BYTES } from "./sockaddr.ts";

/** Datagrams of one system call. */
const MAX_MESSAGES = 32;
/** The longest datagram there is, and the fixed distance of one buffer to the next. Memory that no datagram reaches is never touched. */
const SLOT_BYTES = 1 << 16;
/** Datagrams taken at once: then the others of this turn get their time. */
const MAX_DATAGRAMS = 256;
/** `MSG_DONTWAIT`, Linux. */
const FLAGS = 0x40;
const NOTHING_WAITS: ReadonlySet<string> = new Set(["EAGAIN", "EINTR"]);
/** Addresses whose text is kept. */
const MAX_SOURCES = 8192;

/** What is told what was taken. */
export interface Taker {
  /** The datagram is valid until this returns. @returns `false` where the socket is closed: stop */
  take(datagram: Buffer, from: DatagramSource): boolean;
  /** The kernel told of an error of an earlier send. */
  refused(code: string): void;
}

/** Takes what waits on a socket in as few system calls as possible, into memory that is used again. One serves all sockets of a process. */
export class ReceiveBatch {
  readonly #libc: Libc;
  readonly #block: MessageBlock;
  readonly #slots: Buffer[];
  readonly #names: Buffer[];
  readonly #sources = new Map<number | string, DatagramSource>();

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#block = new MessageBlock(libc, MAX_MESSAGES);
    const slab = Buffer.allocUnsafeSlow(MAX_MESSAGES * SLOT_BYTES);
    const address = libc.addressOf(slab.buffer);
    const indexes = Array.from({ length: MAX_MESSAGES }, (_, index) => index);
    this.#slots = indexes.map((index) => slab.subarray(index * SLOT_BYTES, (index + 1) * SLOT_BYTES));
    this.#names = indexes.map((index) => {
      const name = this.#block.nameOf(index);
      return Buffer.from(name.buffer, name.byteOffset, SOCKADDR_BYTES);
    });
    for (const index of indexes) {
      this.#block.setData(index, address + BigInt(index * SLOT_BYTES), SLOT_BYTES);
      this.#block.setSegment(index, 0);
    }
  }

  /** Hand over what waits on `fd`, at most some hundred datagrams. */
  drain(fd: number, taker: Taker): void {
    for (let taken = 0; taken < MAX_DATAGRAMS;) {
      for (let index = 0; index < MAX_MESSAGES; index += 1) this.#block.setNameLength(index, SOCKADDR_BYTES);
      const count = this.#libc.recvmmsg(fd, this.#block.addressFrom(0), MAX_MESSAGES, FLAGS);
      if (count < 0) {
        const code = this.#libc.errno();
        if (!NOTHING_WAITS.has(code)) taker.refused(code);
        return;
      }
      for (let index = 0; index < count; index += 1) {
        const slot = this.#slots[index];
        if (slot === undefined) return;
        if (!taker.take(slot.subarray(0, this.#block.lengthOf(index)), this.#sourceOf(index))) return;
      }
      if (count < MAX_MESSAGES) return;
      taken += count;
    }
  }

  #sourceOf(index: number): DatagramSource {
    const name = this.#names[index];
    if (name === undefined) throw new RangeError(`no message ${index}`);
    const isIpv4 = name.readUInt16LE(0) === AF_INET;
    const key = isIpv4 ? name.readUInt32BE(4) * 65_536 + name.readUInt16BE(2) : name.toString("latin1");
    const known = this.#sources.get(key);
    if (known !== undefined) return known;
    if (this.#sources.size >= MAX_SOURCES) this.#sources.clear();
    const source = readSockaddr(name);
    this.#sources.set(key, source);
    return source;
  }
}
