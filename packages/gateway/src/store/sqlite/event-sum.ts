/** The sum that stands beside each event, and what an event counts for. SQLite finds damage to its own structure; a flipped bit within a cell is found by this alone. */
import { crc32 } from "node:zlib";
import { GatewayError } from "../../errors.ts";
import type { EventRow } from "../rows.ts";

/** Bytes an event takes on disk beside its data: its row, its kind and its entry in the index, on average. */
const EVENT_OVERHEAD_BYTES = 96;

/** What an event counts for in sizes of the log and quotas of devices. */
export function eventCost(dataBytes: number): number {
  return dataBytes + EVENT_OVERHEAD_BYTES;
}

/** What is the same for all events of an outbox; see {@link eventSum}. */
export type OutboxSum = number;

/** Where the sums of an outbox's events begin: device and epoch are kept once, and belong to each of its events all the same. */
export function outboxSum(deviceId: string, epoch: Uint8Array): OutboxSum {
  return crc32(epoch, crc32(deviceId));
}

/** Numbers of an event, and the length of its kind. */
const HEAD_BYTES = 36;
/** Longer data are summed where they are: copying them would take longer than a second call. */
const MAX_COPIED_BYTES = 2048;
/** Of a kind, in UTF-8: 128 characters. docs/wire.md, "Limits". */
const MAX_KIND_BYTES = 512;

const scratch = Buffer.alloc(HEAD_BYTES + MAX_KIND_BYTES + MAX_COPIED_BYTES);
const view = new DataView(scratch.buffer, scratch.byteOffset, scratch.length);

/** What {@link eventSum} is over, besides the outbox. */
type Summed = Pick<EventRow, "offset" | "seq" | "kind" | "time" | "received" | "data">;

/**
 * CRC-32 over everything of an event that a reader gets, as a signed 32-bit integer: it takes four bytes in SQLite. One call over one buffer for what is small, since the calls are what
 * it costs.
 */
export function eventSum(outbox: OutboxSum, { offset, seq, kind, time, received, data }: Summed): number {
  view.setFloat64(0, offset);
  view.setFloat64(8, seq);
  view.setFloat64(16, time);
  view.setFloat64(24, received);
  const kindBytes = scratch.write(kind, HEAD_BYTES, MAX_KIND_BYTES);
  view.setUint32(32, kindBytes);
  const at = HEAD_BYTES + kindBytes;
  if (data.length > MAX_COPIED_BYTES) return crc32(data, crc32(scratch.subarray(0, at), outbox)) | 0;
  scratch.set(data, at);
  return crc32(scratch.subarray(0, at + data.length), outbox) | 0;
}

/** An event that is not what was stored. */
export function damagedEvent(offset: number): GatewayError {
  return new GatewayError("EVENT_DAMAGED", `event ${offset} is damaged on disk`, {
    metadata: { offset: String(offset) },
  });
}
