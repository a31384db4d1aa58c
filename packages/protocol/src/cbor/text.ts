/**
 * UTF-8 to text, strictly: malformed bytes are refused, never replaced, and a byte order mark is a character like any
 * other.
 */

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Up to here a loop beats the call into the decoder. */
const SHORT_TEXT_BYTES = 24;

/** The text in `bytes[start, end)`, or `undefined` where it is not UTF-8. */
export function readUtf8(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start <= SHORT_TEXT_BYTES) {
    const ascii = readAscii(bytes, start, end);
    if (ascii !== undefined) return ascii;
  }
  try {
    return decoder.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}

/** Whether `bytes[start, end)` is UTF-8. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let index = start;
  while (index < end && (bytes[index] ?? 0) < 0x80) index++;
  // What is not ASCII from there on is the decoder's to judge; no character began before.
  return index === end || readUtf8(bytes, index, end) !== undefined;
}

function readAscii(bytes: Uint8Array, start: number, end: number): string | undefined {
  const units: number[] = [];
  for (let index = start; index < end; index++) {
    const byte = bytes[index] ?? 0x80;
    if (byte > 0x7f) return undefined;
    units.push(byte);
  }
  return String.fromCharCode.apply(null, units);
}

const KEY_SLOTS = 512;
// The few dozen keys of the protocol come again in every message: comparing bytes with a remembered string is cheaper
// than making a new one, and the engine finds properties faster by a string it has seen. A peer that fills the slots
// with its own keys costs only speed.
const remembered: string[] = Array.from({ length: KEY_SLOTS }, () => "");

/** {@link readUtf8} for map keys. */
export function readKeyText(bytes: Uint8Array, start: number, end: number): string | undefined {
  const length = end - start;
  if (length === 0) return "";
  const first = bytes[start] ?? 0;
  const last = bytes[end - 1] ?? 0;
  const slot = (length * 31 + first * 7 + last * 67) & (KEY_SLOTS - 1);
  const known = remembered[slot] ?? "";
  if (known.length === length && isAsciiText(known, bytes, start)) return known;
  const key = readUtf8(bytes, start, end);
  // Only ASCII keys have as many units as bytes.
  if (key !== undefined && key.length === length) remembered[slot] = key;
  return key;
}

function isAsciiText(text: string, bytes: Uint8Array, start: number): boolean {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) !== bytes[start + index]) return false;
  }
  return true;
}
