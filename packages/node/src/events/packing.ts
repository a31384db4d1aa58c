/** When a batch is worth packing, and how. The decision is a plain state that sees sizes and waits, no bytes. */
import { constants, zstdCompressSync } from "node:zlib";
import { encodeCbor, type EventBatch, type PackedBatch } from "@quaymesh/protocol";

/** Whether batches are packed: `auto` where it pays, or never. */
export type Compress = "auto" | "never";

/** Smaller batches save less than packing them costs. */
const LEAST_BYTES = 2048;
/** What is left of a batch that was worth it, at most. */
const WORTH_IT = 0.9;
/**
 * Waits for room in a row that tell a slow link, over which each batch waits for those before it, from a gateway that was busy for a moment: to pack for that one would make both ends busier.
 */
const WAITS_IN_A_ROW = 4;
/** Batches that are packed after that many waits: a link that packed batches fit through is still the slow one. */
const BATCHES_PER_WAIT = 32;
/** Batches that go plain after one that would not shrink; twice as many after each further one. */
const FIRST_PAUSE = 8;
const LONGEST_PAUSE = 256;

/** What a stream has shown of its link and of what goes through it. */
export interface Packing {
  /** Batches in a row whose writes had to wait. */
  readonly waits: number;
  /** Batches that are still packed for the last such waits. */
  readonly hot: number;
  /** Batches that go plain because one would not shrink. */
  readonly paused: number;
  /** How long the next such pause is. */
  readonly nextPause: number;
}

/** Of a stream that has just opened: nothing is known of its link, so it is taken for a fast one. */
export const NEW_PACKING: Packing = { waits: 0, hot: 0, paused: 0, nextPause: FIRST_PAUSE };

/** Whether to pack a batch of so many bytes. */
export function isWorthPacking({ hot, paused }: Packing, bytes: number): boolean {
  return hot > 0 && paused === 0 && bytes >= LEAST_BYTES;
}

/** A batch has been sent. @param sent.ratio what packing left of it, where that was tried. `waited`: its write had to wait for room */
export function afterBatch(packing: Packing, sent: { readonly ratio?: number; readonly waited: boolean }): Packing {
  const { ratio, waited } = sent;
  const waits = waited ? Math.min(WAITS_IN_A_ROW, packing.waits + 1) : 0;
  const hot = waits === WAITS_IN_A_ROW ? BATCHES_PER_WAIT : Math.max(0, packing.hot - 1);
  if (ratio === undefined) return { ...packing, waits, hot, paused: Math.max(0, packing.paused - 1) };
  if (ratio <= WORTH_IT) return { waits, hot, paused: 0, nextPause: FIRST_PAUSE };
  return { waits, hot, paused: packing.nextPause, nextPause: Math.min(LONGEST_PAUSE, packing.nextPause * 2) };
}

/** Whether something of that ratio is sent packed. */
export const isSmaller = (ratio: number): boolean => ratio <= WORTH_IT;

/** A batch that was packed, and what that left of it. */
export interface Tried {
  readonly packed: PackedBatch;
  readonly ratio: number;
}

/** Pack a batch where it is worth trying. On this thread: at level 1 a full batch takes a fraction of a millisecond. */
export function tryPack(packing: Packing, batch: EventBatch): Tried | undefined {
  // Most are sent where nothing waits: those are not even encoded to be measured.
  if (!isWorthPacking(packing, Infinity)) return undefined;
  const body = encodeCbor(batch);
  if (!isWorthPacking(packing, body.length)) return undefined;
  const packed = zstdCompressSync(body, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  return {
    packed: { type: "batch.packed", encoding: "zstd", bytes: body.length, packed },
    ratio: packed.length / body.length,
  };
}
