/**
 * Checks a value against the CBOR profile without building it: for whoever carries application values and must not pass on what
 * is none. What it lets through, `decodeValue` reads; docs/wire.md, "CBOR profile".
 */
import { FORBIDDEN_KEYS, VALUE_LIMITS } from "./limits.ts";
import { isUtf8, readKeyText } from "./text.ts";

// As in decode.ts: one scan runs at a time and calls no foreign code.
let source: Uint8Array = new Uint8Array(0);
let position = 0;
let items = 0;

const EMPTY: Uint8Array = new Uint8Array(0);
/** No argument: what follows breaks a rule. */
const NONE = -1;

/** Whether `bytes` are one application value and nothing else. */
export function isValue(bytes: Uint8Array): boolean {
  source = bytes;
  position = 0;
  items = 0;
  try {
    return skipItem(0) && position === source.length;
  } finally {
    source = EMPTY;
  }
}

function skipItem(depth: number): boolean {
  items += 1;
  const initial = source[position];
  if (initial === undefined || items > VALUE_LIMITS.maxItems) return false;
  position += 1;
  const major = initial >> 5;
  const info = initial & 0x1f;
  if (major === 7) return skipSimple(info);
  const argument = readArgument(info);
  if (argument === NONE) return false;
  switch (major) {
    case 0:
      return true;
    case 1:
      return argument !== Number.MAX_SAFE_INTEGER;
    case 2:
      return skipBytes(argument);
    case 3:
      return skipBytes(argument) && isUtf8(source, position - argument, position);
    case 4:
      return enters(argument, 1, depth + 1) && skipElements(argument, depth + 1);
    case 5:
      return enters(argument, 2, depth + 1) && skipEntries(argument, depth + 1);
    default:
      return false;
  }
}

function skipSimple(info: number): boolean {
  switch (info) {
    case 20:
    case 21:
    case 22:
      return true;
    case 25:
      return skipBytes(2);
    case 26:
      return skipBytes(4);
    case 27:
      return skipBytes(8);
    default:
      return false;
  }
}

function skipBytes(length: number): boolean {
  if (length > source.length - position) return false;
  position += length;
  return true;
}

function skipElements(count: number, depth: number): boolean {
  for (let index = 0; index < count; index++) if (!skipItem(depth)) return false;
  return true;
}

function skipEntries(count: number, depth: number): boolean {
  const seen = count > 1 ? new Set<string>() : undefined;
  for (let index = 0; index < count; index++) {
    const key = readKey();
    if (key === undefined || FORBIDDEN_KEYS.has(key) || seen?.has(key) === true) return false;
    seen?.add(key);
    if (!skipItem(depth)) return false;
  }
  return true;
}

function readKey(): string | undefined {
  const initial = source[position] ?? 0;
  if (initial >> 5 !== 3) return undefined;
  position += 1;
  const length = readArgument(initial & 0x1f);
  if (length === NONE || length > VALUE_LIMITS.maxKeyBytes || !skipBytes(length)) return undefined;
  return readKeyText(source, position - length, position);
}

function enters(count: number, perEntry: number, depth: number): boolean {
  if (depth > VALUE_LIMITS.maxDepth || count > VALUE_LIMITS.maxItems - items) return false;
  return count * perEntry <= source.length - position;
}

function readArgument(info: number): number {
  if (info < 24) return info;
  const size = info === 24 ? 1 : info === 25 ? 2 : info === 26 ? 4 : info === 27 ? 8 : 0;
  if (size === 0 || !skipBytes(size)) return NONE;
  let argument = 0;
  for (let at = position - size; at < position; at++) argument = argument * 256 + (source[at] ?? 0);
  return Number.isSafeInteger(argument) ? argument : NONE;
}
