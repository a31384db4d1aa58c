import { crc32 } from "node:zlib";
import type { OutboxFile } from "./files.ts";
import { writeFully } from "./files.ts";

/** How far an outbox got. */
export interface Watermarks {
  /** The gateway has everything up to here. */
  readonly acked: number;
  /** Everything up to here was on disk. */
  readonly durable: number;
}

/** `u64 acked, u64 durable, u32 CRC-32 of both, 12 bytes zero`. */
const SLOT_BYTES = 32;

/**
 * Both watermarks in two slots of one small file, written by turns in place: a torn write spoils one slot, and the other is a little
 * older, which is always safe, for both only ever grow. Not synced on every change, as a lost update costs a repeat that the gateway drops.
 */
export class WatermarkFile {
  readonly #file: OutboxFile;
  #slot = 0;
  #damaged = 0;

  constructor(file: OutboxFile) {
    this.#file = file;
  }

  /** Slots that held something else than was written, when last read. One may be a torn write; of two the older watermarks are lost too. */
  get damaged(): number {
    return this.#damaged;
  }

  /** What the file says; zeros where it says nothing readable. */
  async read(): Promise<Watermarks> {
    const bytes = new Uint8Array(2 * SLOT_BYTES);
    const length = await this.#file.read(bytes, 0);
    this.#damaged = 0;
    let acked = 0;
    let durable = 0;
    for (let slot = 0; (slot + 1) * SLOT_BYTES <= length; slot++) {
      const view = new DataView(bytes.buffer, slot * SLOT_BYTES, SLOT_BYTES);
      const slotBytes = bytes.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES);
      if (view.getUint32(16) !== crc32(slotBytes.subarray(0, 16))) {
        if (slotBytes.some((byte) => byte !== 0)) this.#damaged += 1;
        continue;
      }
      // An empty slot has a checksum of zero, which sixteen zero bytes do not have.
      acked = Math.max(acked, Number(view.getBigUint64(0)));
      durable = Math.max(durable, Number(view.getBigUint64(8)));
    }
    return { acked, durable };
  }

  /** Write into the older slot. One call at a time. */
  async write(marks: Watermarks): Promise<void> {
    const bytes = new Uint8Array(SLOT_BYTES);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(marks.acked));
    view.setBigUint64(8, BigInt(marks.durable));
    view.setUint32(16, crc32(bytes.subarray(0, 16)));
    const slot = this.#slot;
    this.#slot = 1 - slot;
    await writeFully(this.#file, bytes, slot * SLOT_BYTES);
  }

  /** Make the last write survive a power cut. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
