/**
 * Writes the CBOR profile of docs/wire.md: definite lengths, shortest forms of integers, lengths and floats. It refuses
 * whatever {@link decodeCbor} would, so a caller's mistake is found here and not at the peer.
 */
import { ProtocolError } from "../errors.ts";
import { FORBIDDEN_KEYS, FRAME_LIMITS, VALUE_LIMITS, type CborLimits } from "./limits.ts";

const INITIAL_BYTES = 16_384;
/** A buffer that one large value made bigger than this is not kept. */
const KEPT_BYTES = 1_048_576;
/** Results up to here are cut from a common block: an ArrayBuffer of its own costs a small frame twenty times what the copy does. */
const POOLED_BYTES = 1024;
const POOL_BYTES = 16_384;

const encoder = new TextEncoder();
let pool = new Uint8Array(POOL_BYTES);
let pooled = 0;
let target = new Uint8Array(INITIAL_BYTES);
let view = new DataView(target.buffer);
let position = 0;
let items = 0;
let limits = FRAME_LIMITS;

/**
 * Encode a value of null, booleans, numbers, strings, `Uint8Array`s, arrays and plain objects; properties that are
 * `undefined` are left out. Whole numbers within 2^53 become integers, other numbers the shortest float that keeps
 * them.
 * @throws {ProtocolError} `VALUE_UNENCODABLE` for anything else, for text with lone surrogates, and beyond the limits
 */
export function encodeCbor(value: unknown, within: CborLimits = FRAME_LIMITS): Uint8Array {
  return encodeAfter(0, value, within);
}

/**
 * Encode an application value (event data, task input or output) under {@link VALUE_LIMITS}.
 * @throws {ProtocolError} `VALUE_UNENCODABLE`
 */
export function encodeValue(value: unknown): Uint8Array {
  return encodeAfter(0, value, VALUE_LIMITS);
}

/**
 * Encode with `gap` bytes left free in front, so that a header costs no second copy.
 * @throws {ProtocolError} `VALUE_UNENCODABLE`
 */
export function encodeAfter(gap: number, value: unknown, within: CborLimits): Uint8Array {
  // A getter of the value may itself encode: what is written so far stays, the inner value goes behind it.
  const start = position;
  const outer = { items, limits };
  items = 0;
  limits = within;
  try {
    reserve(gap);
    position += gap;
    writeItem(value, 0);
    return cut(start, position);
  } finally {
    position = start;
    items = outer.items;
    limits = outer.limits;
    if (start === 0 && target.length > KEPT_BYTES) resize(INITIAL_BYTES);
  }
}

/** A copy of what is written between two positions, for the caller to keep. */
function cut(start: number, end: number): Uint8Array {
  const length = end - start;
  if (length > POOLED_BYTES) return target.slice(start, end);
  if (length > pool.length - pooled) {
    pool = new Uint8Array(POOL_BYTES);
    pooled = 0;
  }
  // What was handed out is never written again: the pool only moves on.
  const copy = pool.subarray(pooled, pooled + length);
  copy.set(target.subarray(start, end));
  pooled += length;
  return copy;
}

function writeItem(value: unknown, depth: number): void {
  if (++items > limits.maxItems) throw unencodable(`more than ${limits.maxItems} items`);
  switch (typeof value) {
    case "string":
      return writeText(value);
    case "number":
      return writeNumber(value);
    case "boolean":
      return writeByte(value ? 0xf5 : 0xf4);
    case "object":
      break;
    default:
      throw unencodable(`a ${typeof value}`);
  }
  if (value === null) return writeByte(0xf6);
  if (value instanceof Uint8Array) return writeBytes(value);
  if (depth === limits.maxDepth) throw unencodable(`nested deeper than ${limits.maxDepth}, or a cycle`);
  if (Array.isArray(value)) return writeArray(value, depth + 1);
  const prototype: unknown = Object.getPrototypeOf(value);
  // `Object.prototype` of another realm has no prototype either.
  if (prototype !== null && prototype !== Object.prototype && Object.getPrototypeOf(prototype) !== null) {
    throw unencodable("an object that is not plain");
  }
  writeMap(value as Record<string, unknown>, depth + 1);
}

function writeArray(array: readonly unknown[], depth: number): void {
  writeHead(0x80, array.length);
  // By index: a hole reads as undefined and is refused, an iterator would be foreign code.
  for (let index = 0; index < array.length; index++) writeItem(array[index], depth);
}

function writeMap(map: Record<string, unknown>, depth: number): void {
  const keys = Object.keys(map);
  let count = keys.length;
  for (const key of keys) if (map[key] === undefined) count--;
  writeHead(0xa0, count);
  for (const key of keys) {
    const value = map[key];
    if (value === undefined) continue;
    if (FORBIDDEN_KEYS.has(key)) throw unencodable(`the key ${key}`);
    const before = position;
    writeText(key);
    if (position - before > limits.maxKeyBytes) checkKey(key);
    writeItem(value, depth);
    count--;
  }
  // A getter that answers twice differently would leave the count wrong and the frame unreadable.
  if (count !== 0) throw unencodable("an object that changes while it is read");
}

function checkKey(key: string): void {
  if (encoder.encode(key).length > limits.maxKeyBytes) throw unencodable(`a key above ${limits.maxKeyBytes} bytes`);
}

function writeText(text: string): void {
  const length = text.length;
  reserve(length * 3 + 9);
  if (length < 24) {
    // Nearly every key and most values are short and ASCII; then bytes equal units and the head is one byte.
    let index = 0;
    let at = position + 1;
    for (; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) break;
      target[at++] = unit;
    }
    if (index === length) {
      target[position] = 0x60 | length;
      position = at;
      return;
    }
  }
  if (!text.isWellFormed()) throw unencodable("text with a lone surrogate");
  // Written behind the longest head it may need, then moved up to the head it has.
  const body = position + 9;
  const { written } = encoder.encodeInto(text, target.subarray(body));
  writeHead(0x60, written);
  target.copyWithin(position, body, body + written);
  position += written;
}

function writeBytes(bytes: Uint8Array): void {
  reserve(bytes.length + 9);
  writeHead(0x40, bytes.length);
  target.set(bytes, position);
  position += bytes.length;
}

function writeNumber(value: number): void {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    if (value >= 0) writeHead(0x00, value);
    else writeHead(0x20, -1 - value);
    return;
  }
  reserve(9);
  if (Number.isNaN(value) || Math.f16round(value) === value) {
    target[position] = 0xf9;
    view.setFloat16(position + 1, value);
    position += 3;
  } else if (Math.fround(value) === value) {
    target[position] = 0xfa;
    view.setFloat32(position + 1, value);
    position += 5;
  } else {
    target[position] = 0xfb;
    view.setFloat64(position + 1, value);
    position += 9;
  }
}

/** Initial byte of `major` (already shifted) and the argument in its shortest form. */
function writeHead(major: number, argument: number): void {
  reserve(9);
  if (argument < 24) {
    target[position++] = major | argument;
  } else if (argument < 0x100) {
    target[position++] = major | 24;
    target[position++] = argument;
  } else if (argument < 0x1_0000) {
    target[position++] = major | 25;
    view.setUint16(position, argument);
    position += 2;
  } else if (argument < 0x1_0000_0000) {
    target[position++] = major | 26;
    view.setUint32(position, argument);
    position += 4;
  } else {
    target[position++] = major | 27;
    view.setUint32(position, Math.floor(argument / 0x1_0000_0000));
    view.setUint32(position + 4, argument % 0x1_0000_0000);
    position += 8;
  }
}

function writeByte(byte: number): void {
  reserve(1);
  target[position++] = byte;
}

function reserve(bytes: number): void {
  if (position + bytes > target.length) resize(Math.max(target.length * 2, position + bytes));
}

function resize(bytes: number): void {
  const grown = new Uint8Array(bytes);
  grown.set(target.subarray(0, position));
  target = grown;
  view = new DataView(grown.buffer);
}

function unencodable(what: string): ProtocolError {
  return new ProtocolError("VALUE_UNENCODABLE", `cannot be put on the wire: ${what}`);
}
