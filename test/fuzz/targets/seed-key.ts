/**
 * The key of the request in the corpus, and signatures by it that are the same in every run. The key is public and the nonce fixed, which gives the key away: it is for nothing but mutated
 * requests.
 */
import { createECDH, createHash } from "node:crypto";
import { join } from "../bytes.ts";

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const SCALAR = 0x5175_6179_6d65_7368n;
const NONCE = 0x6675_7a7an;

const hex = (value: bigint): string => value.toString(16).padStart(64, "0");
const modulo = (value: bigint): bigint => ((value % ORDER) + ORDER) % ORDER;

/** The uncompressed point of a scalar. */
function pointOf(scalar: bigint): Buffer {
  const curve = createECDH("prime256v1");
  curve.setPrivateKey(hex(scalar), "hex");
  return curve.getPublicKey();
}

function inverse(value: bigint): bigint {
  let [low, high] = [1n, 0n];
  let [a, b] = [value, ORDER];
  while (a > 0n) {
    const quotient = b / a;
    [high, low] = [low, high - quotient * low];
    [b, a] = [a, b - quotient * a];
  }
  return modulo(high);
}

const R = modulo(BigInt(`0x${pointOf(NONCE).subarray(1, 33).toString("hex")}`));
const NONCE_INVERSE = inverse(NONCE);

const integer = (value: bigint): Uint8Array => {
  const text = value.toString(16);
  const bytes = Buffer.from(text.length % 2 === 0 ? text : `0${text}`, "hex");
  const positive = (bytes[0] ?? 0) >= 0x80 ? join(Uint8Array.of(0), bytes) : bytes;
  return join(Uint8Array.of(0x02, positive.length), positive);
};

/** ECDSA with SHA-256, as DER. */
export function signWithSeedKey(message: Uint8Array): Uint8Array {
  const digest = BigInt(`0x${createHash("sha256").update(message).digest("hex")}`);
  const body = join(integer(R), integer(modulo(NONCE_INVERSE * (digest + R * SCALAR))));
  return join(Uint8Array.of(0x30, body.length), body);
}

/** The key as a JSON Web Key. */
export function seedKeyJwk(): { kty: "EC"; crv: "P-256"; d: string; x: string; y: string } {
  const point = pointOf(SCALAR);
  return {
    kty: "EC",
    crv: "P-256",
    d: Buffer.from(hex(SCALAR), "hex").toString("base64url"),
    x: point.subarray(1, 33).toString("base64url"),
    y: point.subarray(33).toString("base64url"),
  };
}
