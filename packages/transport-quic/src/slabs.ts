/** A slab begins with room for this many of the largest datagrams, as each dialer has its own, and grows while the kernel can't keep up. */
const FIRST_SLOTS = 2;
const MAX_SEND_SLAB_BYTES = 1 << 20;

/**
 * Memory that outgoing datagrams are written to. Reused in place while the kernel took every datagram at once; replaced while the socket still
 * holds some, because those point into it.
 */
export class SendSlab {
  readonly #slotBytes: number;
  #slabBytes: number;
  readonly #queued: () => number;
  #slab: Buffer | undefined;
  #offset = 0;

  /** @param slotBytes the largest datagram @param queued datagrams the socket still holds */
  constructor(slotBytes: number, queued: () => number) {
    this.#slotBytes = slotBytes;
    this.#slabBytes = slotBytes * FIRST_SLOTS;
    this.#queued = queued;
  }

  /** Room for one datagram, valid until the next call of `take`. */
  slot(): Buffer {
    if (this.#slab === undefined || this.#offset + this.#slotBytes > this.#slab.length) {
      if (this.#slab === undefined) this.#slab = Buffer.allocUnsafeSlow(this.#slabBytes);
      else if (this.#queued() > 0) this.#replace();
      this.#offset = 0;
    }
    return this.#slab.subarray(this.#offset, this.#offset + this.#slotBytes);
  }

  // The old one stays alive as long as the socket holds datagrams in it.
  #replace(): void {
    this.#slabBytes = Math.max(this.#slabBytes, Math.min(this.#slabBytes * 2, MAX_SEND_SLAB_BYTES));
    this.#slab = Buffer.allocUnsafeSlow(this.#slabBytes);
  }

  /** The first `bytes` of the last slot are in use now. */
  take(bytes: number): void {
    this.#offset += bytes;
  }
}

// A plain array, not a Buffer: the `slice` of a Buffer does not copy. Not zeroed: only what was written to is handed out.
const uninitialized = (bytes: number): Uint8Array => new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);

/**
 * At most this much is read from a stream at once. Below the 128 KiB from which on glibc maps fresh pages for every allocation: a slab then is memory used before, which halves what
 * receiving costs in page faults.
 */
const READ_SLAB_BYTES = 120 << 10;
/** Below it a slice is copied out, so that keeping a small message does not keep a slab alive. */
const COPY_BELOW_BYTES = 16 << 10;
const REPLACE_BELOW_BYTES = 30 << 10;

/** Memory that stream bytes are read into; what is handed out is never written again. */
export class ReadSlab {
  #free = uninitialized(READ_SLAB_BYTES);

  /** Where the next read may write to. */
  target(): Uint8Array {
    return this.#free;
  }

  /** The first `bytes` of the target, for the caller to keep. */
  take(bytes: number): Uint8Array {
    if (bytes < COPY_BELOW_BYTES) return this.#free.slice(0, bytes);
    const taken = this.#free.subarray(0, bytes);
    const rest = this.#free.length - bytes;
    this.#free = rest < REPLACE_BELOW_BYTES ? uninitialized(READ_SLAB_BYTES) : this.#free.subarray(bytes);
    return taken;
  }
}

const MAX_POOLED_CORKS = 64;

/** Reusable buffers that small writes are gathered in; a stream holds one only while it has bytes to send. */
export class CorkPool {
  readonly bytes: number;
  readonly #free: Uint8Array[] = [];

  /** @param bytes size of each buffer */
  constructor(bytes: number) {
    this.bytes = bytes;
  }

  /** A buffer of {@link CorkPool.bytes} bytes. */
  take(): Uint8Array {
    return this.#free.pop() ?? uninitialized(this.bytes);
  }

  /** Give a buffer back; nobody may hold a view of it. */
  give(buffer: Uint8Array): void {
    if (this.#free.length < MAX_POOLED_CORKS) this.#free.push(buffer);
  }
}

/** What all streams of a transport share. */
export interface StreamMemory {
  readonly reads: ReadSlab;
  readonly corks: CorkPool;
}
