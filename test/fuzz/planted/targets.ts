/** Bugs made on purpose: what the fuzzers must find, or they could find nothing. */
import { decodeCbor, ProtocolError } from "@quaymesh/protocol";
import { target as cbor } from "../targets/cbor.ts";
import { burn } from "./burn.ts";
import type { PureTarget } from "../target.ts";

const decodes = (input: Uint8Array): boolean => {
  try {
    decodeCbor(input);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
};

const planted = (run: (input: Uint8Array) => void): PureTarget => ({ ...cbor, run });

/** Throws for an array of two. */
export const throws = planted((input) => {
  if (decodes(input) && input[0] === 0x82) throw new RangeError("planted");
});

/** Takes 60 ms for an array of two. */
export const dawdles = planted((input) => {
  if (decodes(input) && input[0] === 0x82) burn(60);
});

/** Never comes back from an array of two. */
export const hangs = planted((input) => {
  while (decodes(input) && input[0] === 0x82);
});

const held: Uint8Array[] = [];

/** Forgets nothing that it decoded, and pads it. */
export const hoards = planted((input) => {
  if (decodes(input)) held.push(new Uint8Array(1 << 20).fill(input[0] ?? 0));
});

/** Five bytes, one after the other: only what learns from the first finds the fifth. */
export const hides: PureTarget = { ...planted(secret), seeds: () => [Uint8Array.of(0)] };

function secret(input: Uint8Array): void {
  if (input[0] === 0x51) {
    if (input[1] === 0x55) {
      if (input[2] === 0x41) {
        if (input[3] === 0x59) {
          if (input[4] === 0x3a) throw new RangeError("the secret door");
        }
      }
    }
  }
}
