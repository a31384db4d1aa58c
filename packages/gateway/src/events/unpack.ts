/** Packed batches: few bytes that become many, so each bound is checked before what it bounds is spent. docs/wire.md, "Publishing". */
import { constants, zstdDecompressSync } from "node:zlib";
import {
  MAX_FRAME_BYTES,
  parsePublishMessage,
  ProtocolError,
  zstdFrameFault,
  type EventBatch,
  type PackedBatch,
} from "@quaymesh/protocol";

/** What `ready` offers. */
export const ENCODINGS: readonly string[] = ["zstd"];

/** A window of a whole frame: no batch refers further back. */
const WINDOW_LOG_MAX = Math.log2(MAX_FRAME_BYTES);
/** zlib takes no smaller piece of memory. */
const LEAST_CHUNK_BYTES = 64;

/**
 * The batch in a packed one, judged as a plain one is. On this thread: at most 512 KiB, which take half a millisecond; handing them to another thread and back costs as much, and the order of batches besides.
 * @throws {ProtocolError} `CBOR_INVALID`, `MESSAGE_INVALID`
 */
export function unpackBatch(message: PackedBatch): EventBatch {
  const batch = parsePublishMessage(decompress(message));
  if (batch?.type === "batch") return batch;
  throw invalid("holds something else");
}

function decompress({ packed, bytes }: PackedBatch): Uint8Array {
  const fault = zstdFrameFault(packed, { bytes, maxWindowBytes: MAX_FRAME_BYTES });
  if (fault !== undefined) throw invalid(fault);
  let body: Uint8Array;
  try {
    body = zstdDecompressSync(packed, {
      maxOutputLength: bytes,
      chunkSize: Math.max(bytes, LEAST_CHUNK_BYTES),
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
    });
  } catch {
    // Too long, or damaged. What zlib says of it is of no use to the peer.
    throw invalid("cannot be unpacked");
  }
  if (body.length !== bytes) throw invalid("gives another length than the message");
  return body;
}

function invalid(fault: string): ProtocolError {
  return new ProtocolError("MESSAGE_INVALID", `batch.packed: ${fault}`);
}
