import type { Libc } from "./libc.ts";
import { SOCKADDR_BYTES } from "./sockaddr.ts";

// `struct mmsghdr`, 64-bit: name pointer, name length, iovec pointer, iovec count, control pointer, control length, flags, and the length sent or received.
const HEADER_BYTES = 64;
const NAME = 0;
const NAME_LENGTH = 8;
const IOVEC = 16;
const IOVEC_COUNT = 24;
const CONTROL = 32;
const CONTROL_LENGTH = 40;
const LENGTH = 56;
const IOVEC_BYTES = 16;
/** A `struct cmsghdr` with 16 bits of data, padded. */
const CONTROL_BYTES = 24;
/** The same without the padding. */
const CONTROL_MESSAGE_BYTES = 18;
const NAME_BYTES = 32;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;

/** An array of `struct mmsghdr` with everything they point to but the data. For Linux on 64-bit little-endian machines. */
export class MessageBlock {
  readonly count: number;
  readonly #memory: ArrayBuffer;
  readonly #view: DataView;
  readonly #base: bigint;
  readonly #iovecs: number;
  readonly #controls: number;
  readonly #names: number;

  constructor(libc: Libc, count: number) {
    this.count = count;
    this.#iovecs = count * HEADER_BYTES;
    this.#controls = this.#iovecs + count * IOVEC_BYTES;
    this.#names = this.#controls + count * CONTROL_BYTES;
    this.#memory = new ArrayBuffer(this.#names + count * NAME_BYTES);
    this.#view = new DataView(this.#memory);
    this.#base = libc.addressOf(this.#memory);
    for (let index = 0; index < count; index += 1) this.#prepare(index);
  }

  // What never changes.
  #prepare(index: number): void {
    const header = index * HEADER_BYTES;
    const control = this.#controls + index * CONTROL_BYTES;
    this.#point(header + NAME, this.#names + index * NAME_BYTES);
    this.#point(header + IOVEC, this.#iovecs + index * IOVEC_BYTES);
    this.#view.setBigUint64(header + IOVEC_COUNT, 1n, true);
    this.#point(header + CONTROL, control);
    this.#view.setBigUint64(control, BigInt(CONTROL_MESSAGE_BYTES), true);
    this.#view.setInt32(control + 8, SOL_UDP, true);
    this.#view.setInt32(control + 12, UDP_SEGMENT, true);
  }

  #point(at: number, to: number): void {
    this.#view.setBigUint64(at, this.#base + BigInt(to), true);
  }

  /** Where the kernel finds the messages from `index` on. */
  addressFrom(index: number): bigint {
    return this.#base + BigInt(index * HEADER_BYTES);
  }

  /** Room for the address of message `index`, {@link SOCKADDR_BYTES} long. */
  nameOf(index: number): Uint8Array {
    return new Uint8Array(this.#memory, this.#names + index * NAME_BYTES, SOCKADDR_BYTES);
  }

  /** @param bytes 0 for a message to the address the socket is connected to */
  setNameLength(index: number, bytes: number): void {
    this.#view.setUint32(index * HEADER_BYTES + NAME_LENGTH, bytes, true);
  }

  /** Let message `index` carry or fill `bytes` at `address`. */
  setData(index: number, address: bigint, bytes: number): void {
    const iovec = this.#iovecs + index * IOVEC_BYTES;
    this.#view.setBigUint64(iovec, address, true);
    this.#view.setUint32(iovec + 8, bytes, true);
  }

  /** Have the kernel cut message `index` into datagrams of `bytes`; 0: it is one. */
  setSegment(index: number, bytes: number): void {
    this.#view.setUint32(index * HEADER_BYTES + CONTROL_LENGTH, bytes === 0 ? 0 : CONTROL_BYTES, true);
    this.#view.setUint16(this.#controls + index * CONTROL_BYTES + 16, bytes, true);
  }

  /** How many bytes were received. */
  lengthOf(index: number): number {
    return this.#view.getUint32(index * HEADER_BYTES + LENGTH, true);
  }
}
