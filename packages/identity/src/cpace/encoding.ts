/** String encodings of CPace. draft-irtf-cfrg-cpace-21 sections 6.3 and 8.1. */
import { concatBytes } from "../bytes.ts";

/** LEB128 of an unsigned integer: seven bits a byte, least significant first. */
export function leb128(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest === 0 ? low : low + 128);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}

/** The length as LEB128, then the bytes. */
export function prependLength(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return concatBytes(leb128(bytes.length), bytes);
}

/** Every part with its length before it: no two lists of parts give the same bytes. */
export function lvCat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return concatBytes(...parts.map(prependLength));
}
