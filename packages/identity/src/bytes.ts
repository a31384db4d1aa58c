/** Byte helpers that need no `Buffer`, for the rooms where it does not exist. */

const encoder = new TextEncoder();

/** UTF-8 of `text`. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** The parts, one after the other. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

/** Pairs as people compare them: `9f:2c:…`, whole. */
export function fingerprint(sha256: Uint8Array): string {
  return Array.from(sha256, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/**
 * Whether both are the same bytes, in a time that depends on the lengths only.
 * The lengths of what is compared here are public.
 */
export function timingSafeEqualBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0);
  return difference === 0;
}
