/**
 * What a zstd frame says of itself (RFC 8878, section 3.1.1), read before anything is allocated or decompressed for it. It holds a packed batch to one whole frame and nothing else. docs/wire.md,
 * "Publishing".
 */

/** What {@link zstdFrameFault} allows. */
export interface ZstdFrameLimits {
  /** What the frame has to give, bytes; one that says so itself says the same. */
  readonly bytes: number;
  /** What a decompressor has to remember of what it has given, bytes. */
  readonly maxWindowBytes: number;
}

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/** Why `packed` is not one zstd frame within `limits`, as far as its headers say; `undefined`: it is, and what is in its blocks is the decompressor's to judge. */
export function zstdFrameFault(packed: Uint8Array, limits: ZstdFrameLimits): string | undefined {
  if (MAGIC.some((byte, index) => packed[index] !== byte)) return "no zstd frame";
  const descriptor = packed[4] ?? 0;
  if ((descriptor & 0b11) !== 0) return "needs a dictionary";
  if ((descriptor & 0b1000) !== 0) return "uses what is reserved";
  const isSingleSegment = (descriptor & 0b10_0000) !== 0;
  const windowAt = 5;
  const sizeAt = isSingleSegment ? windowAt : windowAt + 1;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 && isSingleSegment ? 1 : (CONTENT_SIZE_BYTES[sizeFlag] ?? 0);
  const size = littleEndian(packed, sizeAt, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
  if (sizeBytes > 0 && size !== limits.bytes) return "gives another length than the message";
  const windowBytes = isSingleSegment ? size : windowOf(packed[windowAt] ?? 0);
  if (windowBytes > limits.maxWindowBytes) return "needs too large a window";
  const end = endOfBlocks(packed, sizeAt + sizeBytes);
  if (end === undefined) return "is cut short";
  const hasChecksum = (descriptor & 0b100) !== 0;
  return packed.length === end + (hasChecksum ? CHECKSUM_BYTES : 0) ? undefined : "is not one frame and nothing else";
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 0b111);
}

/** Where the last block ends; `undefined` where the bytes end before it, or a block is of a reserved kind. */
function endOfBlocks(packed: Uint8Array, from: number): number | undefined {
  let at = from;
  while (at + BLOCK_HEADER_BYTES <= packed.length) {
    const header = littleEndian(packed, at, BLOCK_HEADER_BYTES);
    const kind = (header >> 1) & 0b11;
    if (kind === RESERVED_BLOCK) return undefined;
    at += BLOCK_HEADER_BYTES + (kind === RLE_BLOCK ? 1 : header >> 3);
    if ((header & 1) === 1) return at > packed.length ? undefined : at;
  }
  return undefined;
}

/** Exact up to 2^53; beyond that it is no length of ours either. */
function littleEndian(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let index = at + length - 1; index >= at; index--) value = value * 256 + (bytes[index] ?? 0);
  return value;
}
