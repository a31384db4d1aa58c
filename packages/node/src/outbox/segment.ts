import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { OutboxFile, OutboxFiles } from "./files.ts";
import { writeFully } from "./files.ts";

/**
 * A segment file: `magic "QMOB", u16 version, u16 zero, 16 bytes epoch, u64 first seq, u32 CRC-32 of all before`, then records. Its name carries
 * the first sequence too, so that a file put in the wrong place is noticed.
 */
export const SEGMENT_HEADER_BYTES = 36;
const MAGIC = 0x51_4d_4f_42;
const VERSION = 1;
const NAME = /^(\d{16})\.log$/;

/** Records of consecutive sequences in one file. The last one of an outbox grows; all others are finished. */
export interface Segment {
  readonly path: string;
  /** The sequence of its first record. */
  readonly first: number;
  /** The last sequence that counts; `first - 1` while it is empty. */
  last: number;
  /** Where the last record that counts ends. */
  end: number;
}

/** The file name of the segment that starts with `first`. */
export function segmentName(first: number): string {
  return `${String(first).padStart(16, "0")}.log`;
}

/** The first sequence a file name claims; `undefined` for other files. */
export function parseSegmentName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** What a segment's header says; `undefined` when it is damaged or cut short. */
export function parseSegmentHeader(
  bytes: Uint8Array,
): { readonly epoch: Uint8Array; readonly first: number } | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, SEGMENT_HEADER_BYTES);
  const sound =
    view.getUint32(0) === MAGIC &&
    view.getUint16(4) === VERSION &&
    view.getUint32(SEGMENT_HEADER_BYTES - 4) === crc32(bytes.subarray(0, SEGMENT_HEADER_BYTES - 4));
  return sound ? { epoch: bytes.slice(8, 24), first: Number(view.getBigUint64(24)) } : undefined;
}

/**
 * Create the file of a new segment. Neither it nor its name is on disk until the file and the directory are synced.
 * A file of that name can only be what a failed attempt left, so it is replaced.
 */
export async function createSegment(
  files: OutboxFiles,
  directory: string,
  place: { readonly epoch: Uint8Array; readonly first: number },
): Promise<{ readonly segment: Segment; readonly file: OutboxFile }> {
  const path = join(directory, segmentName(place.first));
  await files.remove(path).catch(ignoreMissing);
  const file = await files.open(path, "create");
  try {
    await writeFully(file, encodeHeader(place), 0);
  } catch (cause) {
    await file.close().catch(() => {});
    throw cause;
  }
  return { segment: { path, first: place.first, last: place.first - 1, end: SEGMENT_HEADER_BYTES }, file };
}

function encodeHeader(place: { readonly epoch: Uint8Array; readonly first: number }): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint16(4, VERSION);
  bytes.set(place.epoch, 8);
  view.setBigUint64(24, BigInt(place.first));
  view.setUint32(SEGMENT_HEADER_BYTES - 4, crc32(bytes.subarray(0, SEGMENT_HEADER_BYTES - 4)));
  return bytes;
}

/** For `catch`: a file that is not there is as good as removed. */
export function ignoreMissing(cause: unknown): void {
  if (!(cause instanceof Error && "code" in cause && cause.code === "ENOENT")) throw cause;
}
