/**
 * Reads the CBOR profile of docs/wire.md and nothing else: checks and builds in one pass, so a value that breaks a rule
 * is given up at the byte that breaks it. Recursion is bounded by `maxDepth`. ADR 0010 says why this is not a general
 * CBOR library.
 */
import { ProtocolError } from "../errors.ts";
import { FORBIDDEN_KEYS, FRAME_LIMITS, VALUE_LIMITS, type CborLimits } from "./limits.ts";
import { readUtf8, readKeyText } from "./text.ts";

// One decode runs at a time and calls no foreign code, so its cursor can live here instead of in an object per message.
let source: Uint8Array = new Uint8Array(0);
let position = 0;
let items = 0;
let limits = FRAME_LIMITS;

const EMPTY: Uint8Array = new Uint8Array(0);
const floatBits = new DataView(new ArrayBuffer(8));

/**
 * Decode one CBOR value that fills `bytes`. Maps become plain objects, byte strings become views of `bytes`, integers
 * become numbers. Longer than shortest integer, length and float forms are accepted; every float is (schemas refuse
 * what they do not want).
 * @throws {ProtocolError} `CBOR_INVALID`: tags, indefinite lengths, `undefined` and other simple values, integers
 * outside +-(2^53 - 1), keys that are not text, repeat or are forbidden, malformed UTF-8, bytes missing or left over,
 * limits exceeded
 */
export function decodeCbor(bytes: Uint8Array, within: CborLimits = FRAME_LIMITS): unknown {
  begin(bytes, within);
  try {
    const value = readItem(0);
    if (position !== source.length) throw invalid("bytes after the value");
    return value;
  } finally {
    source = EMPTY;
  }
}

/**
 * Decode CBOR items that fill `bytes` one behind the other, each under the limits by itself.
 * @throws {ProtocolError} as {@link decodeCbor}
 */
export function decodeSequence(bytes: Uint8Array, within: CborLimits = FRAME_LIMITS): readonly unknown[] {
  const values: unknown[] = [];
  begin(bytes, within);
  try {
    while (position < source.length) {
      items = 0;
      values.push(readItem(0));
    }
    return values;
  } finally {
    source = EMPTY;
  }
}

function begin(bytes: Uint8Array, within: CborLimits): void {
  // A subclass (a Buffer) would leak into the result: its `subarray` makes more of itself.
  source = bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  position = 0;
  items = 0;
  limits = within;
}

/**
 * Decode an application value (event data, task input or output) under {@link VALUE_LIMITS}.
 * @throws {ProtocolError} `CBOR_INVALID`
 */
export function decodeValue(bytes: Uint8Array): unknown {
  return decodeCbor(bytes, VALUE_LIMITS);
}

function readItem(depth: number): unknown {
  if (++items > limits.maxItems) throw invalid(`more than ${limits.maxItems} items`);
  const initial = readByte();
  const major = initial >> 5;
  if (major === 7) return readSimple(initial & 0x1f);
  const argument = readArgument(initial & 0x1f);
  switch (major) {
    case 0:
      return argument;
    case 1:
      if (argument === Number.MAX_SAFE_INTEGER) throw invalid("an integer outside 2^53");
      return -1 - argument;
    case 2:
      return readBytes(argument);
    case 3:
      return readText(argument);
    case 4:
      return readArray(argument, depth + 1);
    case 5:
      return readMap(argument, depth + 1);
    default:
      throw invalid("a tag");
  }
}

function readByte(): number {
  const byte = source[position];
  if (byte === undefined) throw invalid("the value is cut short");
  position++;
  return byte;
}

/** The argument of RFC 8949 section 3: a value, a length or a count. */
function readArgument(info: number): number {
  if (info < 24) return info;
  switch (info) {
    case 24:
      return readByte();
    case 25:
      return readByte() * 0x100 + readByte();
    case 26:
      return readUint32();
    case 27: {
      const high = readUint32();
      if (high > 0x1f_ffff) throw invalid("an integer outside 2^53");
      return high * 0x1_0000_0000 + readUint32();
    }
    case 31:
      throw invalid("an indefinite length");
    default:
      throw invalid("reserved additional information");
  }
}

function readUint32(): number {
  return readByte() * 0x100_0000 + (readByte() << 16) + (readByte() << 8) + readByte();
}

function readSimple(info: number): unknown {
  switch (info) {
    case 20:
      return false;
    case 21:
      return true;
    case 22:
      return null;
    case 25:
      return readFloat(2).getFloat16(0);
    case 26:
      return readFloat(4).getFloat32(0);
    case 27:
      return readFloat(8).getFloat64(0);
    case 31:
      throw invalid("an indefinite length");
    default:
      throw invalid("a simple value other than false, true and null");
  }
}

function readFloat(size: number): DataView {
  for (let index = 0; index < size; index++) floatBits.setUint8(index, readByte());
  return floatBits;
}

/** Where `length` bytes from here end. Compared before anything is sliced or allocated. */
function endOf(length: number): number {
  if (length > source.length - position) throw invalid("the value is cut short");
  return position + length;
}

function readBytes(length: number): Uint8Array {
  const end = endOf(length);
  const bytes = source.subarray(position, end);
  position = end;
  return bytes;
}

function readText(length: number): string {
  const end = endOf(length);
  const text = readUtf8(source, position, end);
  if (text === undefined) throw invalid("text that is not UTF-8");
  position = end;
  return text;
}

function enter(count: number, perEntry: number, depth: number): void {
  if (depth > limits.maxDepth) throw invalid(`nested deeper than ${limits.maxDepth}`);
  // Each entry takes `perEntry` bytes at least and one item: a header cannot claim more than what is there.
  if (count * perEntry > source.length - position) throw invalid("the value is cut short");
  if (count > limits.maxItems - items) throw invalid(`more than ${limits.maxItems} items`);
}

function readArray(count: number, depth: number): unknown[] {
  enter(count, 1, depth);
  const array: unknown[] = [];
  for (let index = 0; index < count; index++) array.push(readItem(depth));
  return array;
}

function readMap(count: number, depth: number): Record<string, unknown> {
  enter(count, 2, depth);
  const map: Record<string, unknown> = {};
  for (let index = 0; index < count; index++) {
    const key = readKey();
    // No value is `undefined`, so a cheap look tells a new key; the exact one is only for names like `toString`.
    if (map[key] !== undefined && Object.hasOwn(map, key)) throw invalid("a repeated map key");
    map[key] = readItem(depth);
  }
  return map;
}

function readKey(): string {
  const initial = readByte();
  if (initial >> 5 !== 3) throw invalid("a map key that is not text");
  const length = readArgument(initial & 0x1f);
  if (length > limits.maxKeyBytes) throw invalid(`a map key above ${limits.maxKeyBytes} bytes`);
  const end = endOf(length);
  const key = readKeyText(source, position, end);
  if (key === undefined) throw invalid("text that is not UTF-8");
  if (FORBIDDEN_KEYS.has(key)) throw invalid("a forbidden map key");
  position = end;
  return key;
}

function invalid(what: string): ProtocolError {
  return new ProtocolError("CBOR_INVALID", `CBOR: ${what} (byte ${position})`);
}
