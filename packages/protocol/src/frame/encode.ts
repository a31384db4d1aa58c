import { encodeAfter } from "../cbor/encode.ts";
import { FRAME_LIMITS } from "../cbor/limits.ts";
import { ProtocolError } from "../errors.ts";
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "./limits.ts";

/**
 * A message as a whole frame: header and CBOR body, in memory nobody writes again.
 * @throws {ProtocolError} `VALUE_UNENCODABLE`, also where the body exceeds `MAX_FRAME_BYTES`
 */
export function encodeFrame(value: unknown): Uint8Array {
  const bytes = encodeAfter(FRAME_HEADER_BYTES, value, FRAME_LIMITS);
  writeHeader(bytes, bytes.length - FRAME_HEADER_BYTES);
  return bytes;
}

/**
 * An encoded body as a whole frame; copies it.
 * @throws {ProtocolError} `VALUE_UNENCODABLE` when it is empty or exceeds `MAX_FRAME_BYTES`
 */
export function frame(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  writeHeader(bytes, body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  return bytes;
}

/**
 * The beginning of a frame whose body is there in two parts: its header and the body's first bytes. The other `rest` bytes are to be sent right behind it.
 * @throws {ProtocolError} as {@link frame}
 */
export function frameHead(first: readonly number[], rest: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + first.length);
  writeHeader(bytes, first.length + rest);
  bytes.set(first, FRAME_HEADER_BYTES);
  return bytes;
}

function writeHeader(bytes: Uint8Array, length: number): void {
  if (length === 0) throw new ProtocolError("VALUE_UNENCODABLE", "a frame without a body");
  if (length > MAX_FRAME_BYTES) {
    throw new ProtocolError("VALUE_UNENCODABLE", `a frame of ${length} bytes where ${MAX_FRAME_BYTES} are allowed`);
  }
  bytes[0] = length >>> 24;
  bytes[1] = length >>> 16;
  bytes[2] = length >>> 8;
  bytes[3] = length;
}
