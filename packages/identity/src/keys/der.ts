/** Longest nesting that anything read here has. */
const MAX_DEPTH = 16;
const CONSTRUCTED = 0x20;
const HIGH_TAG = 0x1f;

/**
 * Whether `bytes` are one value in DER's one way of writing it: definite and shortest lengths, nothing missing and nothing after it. The ASN.1
 * library reads BER, where one value has many spellings; what is hashed or compared as bytes must have one.
 * @see X.690 section 10.1
 */
export function isDer(bytes: Uint8Array): boolean {
  return endOfValue(bytes, 0, bytes.length, MAX_DEPTH) === bytes.length;
}

/** Where the value at `at` ends, looked at all the way down; `undefined` when it is not DER or reaches past `end`. */
function endOfValue(bytes: Uint8Array, at: number, end: number, depth: number): number | undefined {
  const tag = bytes[at];
  const header = readLength(bytes, at + 1, end);
  if (tag === undefined || (tag & HIGH_TAG) === HIGH_TAG || header === undefined || depth === 0) return undefined;
  const valueEnd = header.start + header.length;
  if (valueEnd > end) return undefined;
  if ((tag & CONSTRUCTED) === 0) return valueEnd;
  let next: number | undefined = header.start;
  while (next !== undefined && next < valueEnd) next = endOfValue(bytes, next, valueEnd, depth - 1);
  return next;
}

function readLength(bytes: Uint8Array, at: number, end: number): { start: number; length: number } | undefined {
  const first = bytes[at];
  if (first === undefined || at >= end) return undefined;
  if (first < 0x80) return { start: at + 1, length: first };
  const count = first & 0x7f;
  // 0x80 is BER's indefinite length; three bytes are 16 MiB.
  if (count === 0 || count > 3 || at + count >= end) return undefined;
  let length = 0;
  for (let index = 1; index <= count; index++) length = length * 256 + (bytes[at + index] ?? 0);
  const shortest = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x1_0000 ? 2 : 3;
  return count === shortest ? { start: at + 1 + count, length } : undefined;
}
