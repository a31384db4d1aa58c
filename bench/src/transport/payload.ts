/** What crosses the wire, and the CBOR work around it: the same bytes and the same calls for every system. */
import { FRAME_HEADER_BYTES } from "@quaymesh/protocol";
import { Encoder } from "cbor-x";

const cbor = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false });

/** Bytes of one bulk write. */
const BULK_CHUNK_BYTES = 65_536;

/** A unary request, 200 bytes of CBOR. */
export const REQUEST: Uint8Array = cbor.encode({ id: 1, method: "task.get", task: "01JD8Q", note: "q".repeat(160) });

/** The answer to it, 200 bytes of CBOR. */
export const ANSWER: Uint8Array = cbor.encode({ id: 1, ok: true, state: "running", result: "a".repeat(168) });

/** The chunk that bulk repeats. */
export const BULK_CHUNK: Uint8Array = new Uint8Array(BULK_CHUNK_BYTES).fill(7);

/** The CBOR of an event as a node would report it, about 200 bytes; made and encoded anew each time. */
export function encodeEvent(seq: number): Uint8Array {
  return cbor.encode({
    seq,
    time: 1_700_000_000_000 + seq,
    kind: "task.progress",
    node: "node-1a2b3c4d",
    task: "01JD8Q3V5K7M9P1R3T5W7Y9A1C",
    state: "running",
    percent: seq % 100,
    message: "step complete, on to the next of the job",
    attributes: { attempt: 1, queue: "two" },
  });
}

/** A body behind its u32 length, as docs/wire.md has it, for systems that carry bytes and not messages. From Node's pool: an array of its own per event costs more than all else. */
export function framed(body: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + body.length);
  bytes.writeUInt32BE(body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  return bytes;
}

/** Decode, as every receiver does with every message. @throws {Error} when the bytes are not CBOR */
export function decode(bytes: Uint8Array): unknown {
  return cbor.decode(bytes);
}

/** What a receiver answers to a stream it counted: events or bytes. */
export function encodeCount(count: number): Uint8Array {
  return cbor.encode({ count });
}

/** Read {@link encodeCount}. @throws {TypeError} for anything else */
export function decodeCount(bytes: Uint8Array): number {
  const value = decode(bytes);
  if (typeof value === "object" && value !== null && "count" in value && typeof value.count === "number") {
    return value.count;
  }
  throw new TypeError("the answer holds no count");
}

/** Check an answer to {@link REQUEST}. @throws {TypeError} for anything else */
export function checkAnswer(bytes: Uint8Array): void {
  const value = decode(bytes);
  if (typeof value === "object" && value !== null && "ok" in value && value.ok === true) return;
  throw new TypeError("the answer is not what was asked for");
}
