import { crc32 } from "node:zlib";

/** An event as the application recorded it. */
export interface OutboxEvent {
  /** 1 to 128 UTF-16 units. */
  readonly kind: string;
  /** The node's clock, Unix milliseconds. */
  readonly time: number;
  /** One CBOR value. */
  readonly data: Uint8Array;
}

/** An event with its place. */
export interface OutboxRecord extends OutboxEvent {
  /** 1 for the first of an outbox epoch; no gaps. */
  readonly seq: number;
}

/**
 * A record on disk, integers big-endian:
 * `u32 payload length, u32 CRC-32 of all that follows and of the length, u64 seq, u64 committed, payload`,
 * payload: `f64 time, u16 kind length, kind (UTF-8), data`.
 *
 * `committed` is the last sequence known to be on disk when this record was written. It tells damage from a torn write: a
 * bad record that a good later one calls committed was good once.
 */
export const RECORD_HEADER_BYTES = 24;
const PAYLOAD_HEADER_BYTES = 10;
/** Largest payload: an event body of 64 KiB, a kind, the payload's own header, and room to grow. */
const MAX_PAYLOAD_BYTES = 131_072;

const TWO_32 = 0x1_0000_0000;

const CRC_OF_BYTE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0xedb8_8320;
  return crc;
});

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder("utf-8", { fatal: true });

/** Bytes that {@link encodeRecord} makes of `event`, at most. */
export function recordBytes(event: OutboxEvent): number {
  return RECORD_HEADER_BYTES + PAYLOAD_HEADER_BYTES + event.kind.length * 3 + event.data.length;
}

/** Write `event` as record `seq` into `target` at `at`. @returns the position behind it */
export function encodeRecord(
  target: Uint8Array,
  at: number,
  event: OutboxEvent,
  place: { readonly seq: number; readonly committed: number },
): number {
  const payload = at + RECORD_HEADER_BYTES;
  const kindAt = payload + PAYLOAD_HEADER_BYTES;
  const { written } = utf8.encodeInto(event.kind, target.subarray(kindAt));
  const data = kindAt + written;
  const end = data + event.data.length;
  target.set(event.data, data);
  const view = new DataView(target.buffer, target.byteOffset + at, kindAt - at);
  view.setUint32(0, end - payload);
  setUint64(view, 8, place.seq);
  setUint64(view, 16, place.committed);
  view.setFloat64(RECORD_HEADER_BYTES, event.time);
  view.setUint16(RECORD_HEADER_BYTES + 8, written);
  view.setUint32(4, checksum(target, at, end));
  return end;
}

/** @param value a whole number within 2^53 */
function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / TWO_32));
  view.setUint32(at + 4, value % TWO_32);
}

/** CRC-32 of four bytes: calling zlib for so few takes longer than for all the others. */
function crcOfFour(bytes: Uint8Array, at: number): number {
  let crc = 0xffff_ffff;
  for (let index = at; index < at + 4; index++)
    crc = (CRC_OF_BYTE[(crc ^ (bytes[index] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Covers the length too, so that a flipped length cannot point at bytes that happen to fit. */
function checksum(bytes: Uint8Array, at: number, end: number): number {
  return crc32(bytes.subarray(at + 8, end), crcOfFour(bytes, at));
}

/** What stands at some place of a segment. */
export type RecordAt =
  | { readonly kind: "record"; readonly seq: number; readonly committed: number; readonly end: number }
  /** The bytes end before the record does. */
  | { readonly kind: "short" }
  /** No record: damaged, or never written. */
  | { readonly kind: "bad" };

const BAD: RecordAt = { kind: "bad" };
const SHORT: RecordAt = { kind: "short" };

/** Look at the record that starts at `at`, its checksum included. */
export function recordAt(bytes: Uint8Array, at: number): RecordAt {
  if (at + RECORD_HEADER_BYTES > bytes.length) return SHORT;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, RECORD_HEADER_BYTES);
  const length = view.getUint32(0);
  if (length < PAYLOAD_HEADER_BYTES || length > MAX_PAYLOAD_BYTES) return BAD;
  const end = at + RECORD_HEADER_BYTES + length;
  if (end > bytes.length) return SHORT;
  if (view.getUint32(4) !== checksum(bytes, at, end)) return BAD;
  return { kind: "record", seq: Number(view.getBigUint64(8)), committed: Number(view.getBigUint64(16)), end };
}

/**
 * The event of a record that {@link recordAt} found good. Its data is a view.
 * @throws {TypeError} for text that is not UTF-8 or lengths that do not fit; a good checksum rules both out but for a bug
 */
export function decodeEvent(bytes: Uint8Array, at: number, end: number): OutboxEvent {
  const payload = at + RECORD_HEADER_BYTES;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kindEnd = payload + PAYLOAD_HEADER_BYTES + view.getUint16(payload + 8);
  if (kindEnd > end) throw new TypeError("a record whose kind is longer than itself");
  return {
    time: view.getFloat64(payload),
    kind: fromUtf8.decode(bytes.subarray(payload + PAYLOAD_HEADER_BYTES, kindEnd)),
    data: bytes.subarray(kindEnd, end),
  };
}
