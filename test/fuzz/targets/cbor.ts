/** `decodeCbor`, `decodeValue` and `isValue`: what a frame and an application value go through before anything else. */
import { isDeepStrictEqual } from "node:util";
import { decodeCbor, decodeValue, encodeCbor, isValue, ProtocolError, VALUE_LIMITS } from "@quaymesh/protocol";
import { join } from "../bytes.ts";
import type { Random } from "../random.ts";
import { type PureTarget, Violation } from "../target.ts";
import { vectorBytes } from "../vectors.ts";
import { item } from "./cbor-items.ts";

const MAX_BYTES = 524_288;

type Read = { readonly value: unknown } | undefined;

const read = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): Read => {
  try {
    return { value: decode(bytes) };
  } catch (error) {
    if (error instanceof ProtocolError && error.code === "CBOR_INVALID") return undefined;
    throw error;
  }
};

/** What is written of a value reads as that value, and is not much longer: a whole number in a 4-byte float becomes an 8-byte integer. */
function checkRoundTrip({ value }: NonNullable<Read>, bytes: Uint8Array): void {
  const written = encodeCbor(value, VALUE_LIMITS);
  if (written.length > 2 * bytes.length) throw new Violation("written again it is more than twice as long");
  if (!isDeepStrictEqual(decodeValue(written), value))
    throw new Violation("written and read again it is another value");
}

function run(bytes: Uint8Array): void {
  const frame = read(decodeCbor, bytes);
  const value = read(decodeValue, bytes);
  if (isValue(bytes) !== (value !== undefined)) throw new Violation("isValue and decodeValue disagree");
  // Within the narrower limits of a frame is within those of a value.
  if (frame !== undefined && value === undefined) throw new Violation("a frame takes what a value does not");
  if (frame !== undefined && !isDeepStrictEqual(frame, value))
    throw new Violation("a frame and a value read differently");
  if (value !== undefined) checkRoundTrip(value, bytes);
}

function mutate(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array {
  if (random.chance(0.3)) return item(random);
  const at = random.below(input.length + 1);
  const until = random.chance(0.5) ? at : Math.min(input.length, at + random.length(32));
  const between = random.chance(0.7) ? item(random, 6) : other.subarray(random.below(other.length));
  const out = join(input.subarray(0, at), between, input.subarray(until));
  return random.chance(0.2) ? join(Uint8Array.of(0x80 | random.below(24)), out) : out;
}

/** See the top of the file. */
export const target: PureTarget = {
  maxBytes: MAX_BYTES,
  seeds: async () => [...(await vectorBytes("cbor")), ...(await vectorBytes("messages"))],
  mutate,
  run,
};
