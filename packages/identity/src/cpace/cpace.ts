/**
 * CPace with ristretto255 and SHA-512 between an initiator A and a responder B: CPACE-RISTR255-SHA512 of
 * draft-irtf-cfrg-cpace-21. Pure: the scalar comes in as random bytes. `test/cpace.test.ts` runs the vectors of its appendix B.3.
 */
import { ristretto255, ristretto255_hasher } from "@noble/curves/ed25519.js";
import { bytesToNumberLE } from "@noble/curves/utils.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { concatBytes, utf8 } from "../bytes.ts";
import { lvCat, prependLength } from "./encoding.ts";

/** Length of a public share, in bytes. */
const SHARE_BYTES = 32;
/** Length of the random bytes that a scalar is made of. */
const SCALAR_BYTES = 32;

const DSI = utf8("CPaceRistretto255");
const DSI_ISK = utf8("CPaceRistretto255_ISK");
/** Input block size of SHA-512. */
const BLOCK_BYTES = 128;

/** What both sides must agree on before the first message. */
export interface CpaceInputs {
  /** The password-related string. */
  readonly prs: Uint8Array;
  /** Channel identifier. */
  readonly ci: Uint8Array;
  /** Session identifier; may be empty. */
  readonly sid: Uint8Array;
}

/** One side's message: its share and the data it authenticates. */
export interface CpaceMessage {
  readonly share: Uint8Array;
  readonly ad: Uint8Array;
}

/** Section 8.1: what is hashed to a generator; the zeros make the first block's length independent of the password's. */
export function generatorString({ prs, ci, sid }: CpaceInputs): Uint8Array {
  const padding = Math.max(0, BLOCK_BYTES - prependLength(prs).length - prependLength(DSI).length - 1);
  return lvCat(DSI, prs, new Uint8Array(padding), ci, sid);
}

/** Section 8.3: the generator that the password selects, encoded. */
export function calculateGenerator(inputs: CpaceInputs): Uint8Array {
  return generatorOf(inputs).toBytes();
}

/**
 * Sections 7.2 and 8.3: this side's public share.
 * @param random 32 bytes, uniform and used once
 */
export function publicShare(inputs: CpaceInputs, random: Uint8Array): Uint8Array {
  return generatorOf(inputs).multiply(toScalar(random)).toBytes();
}

/**
 * Section 8.3, `scalar_mult_vfy`: the secret point from the other side's share.
 * @returns `undefined` where the draft says G.I: the share is no element or the neutral one, and the run must be aborted
 */
export function secretPoint(random: Uint8Array, share: Uint8Array): Uint8Array | undefined {
  if (share.length !== SHARE_BYTES) return undefined;
  let element;
  try {
    element = ristretto255.Point.fromBytes(share);
  } catch {
    return undefined;
  }
  if (element.is0()) return undefined;
  // The order is prime and the scalar is not zero: the product is not the neutral element either.
  return element.multiply(toScalar(random)).toBytes();
}

/** Section 6.3, `transcript_ir`: the initiator's message first. */
export function transcriptIr(a: CpaceMessage, b: CpaceMessage): Uint8Array {
  return concatBytes(lvCat(a.share, a.ad), lvCat(b.share, b.ad));
}

/** Section 7.2: the intermediate session key, 64 bytes. */
export function intermediateKey(sid: Uint8Array, secret: Uint8Array, a: CpaceMessage, b: CpaceMessage): Uint8Array {
  return sha512(concatBytes(lvCat(DSI_ISK, sid, secret), transcriptIr(a, b)));
}

/** Element derivation, RFC 9496 section 4.3.4. */
function generatorOf(inputs: CpaceInputs): InstanceType<typeof ristretto255.Point> {
  const generator = ristretto255_hasher.deriveToCurve?.(sha512(generatorString(inputs)));
  if (generator === undefined) throw new TypeError("this build of @noble/curves has no element derivation");
  return generator;
}

/** Section 8.3, `sample_scalar`: little-endian, bits above 252 cleared, so always below the order. */
function toScalar(random: Uint8Array): bigint {
  if (random.length !== SCALAR_BYTES) throw new RangeError(`a scalar is made of ${SCALAR_BYTES} bytes`);
  const bytes = Uint8Array.from(random);
  bytes[SCALAR_BYTES - 1] = (bytes[SCALAR_BYTES - 1] ?? 0) & 0x0f;
  return bytesToNumberLE(bytes);
}
