/** What a mesh signs for its nodes: which root follows another, and where its gateway is now. docs/wire.md, "Statements of a mesh". */
import { createPrivateKey, type KeyObject, sign, verify } from "node:crypto";
import { utf8 } from "../bytes.ts";
import { lvCat } from "../cpace/encoding.ts";
import type { KeyPair } from "../keys/key-pair.ts";

/** Bytes of a signature: r and s, 32 bytes each, big-endian. IEEE P1363. */
const SIGNATURE_BYTES = 64;

/** A root, and the word of the one before it that it follows. */
export interface RootStatement {
  /** 1 for the first rotation of a mesh, and one more with each. Nodes do not go by it: whoever stole the key that signs could have made it the last there ever is. */
  readonly version: number;
  /** SHA-256 of the SubjectPublicKeyInfo of the root that signs. */
  readonly signer: Uint8Array;
  /** The root that follows, DER. */
  readonly root: Uint8Array;
  /** Until when both are to be trusted, Unix milliseconds. */
  readonly until: number;
  readonly signature: Uint8Array;
}

/** Where nodes find the gateway from now on. */
export interface MoveStatement {
  /** Grows with each move of a mesh. */
  readonly version: number;
  /** When it was said, Unix milliseconds. */
  readonly time: number;
  /** Mesh endpoints, `host:port`, best first; one at least. */
  readonly addresses: readonly string[];
  /** Pairing endpoints, the same way; may be empty. */
  readonly pairing: readonly string[];
  /** The intermediate that signs, DER, below a root of the mesh. */
  readonly issuer: Uint8Array;
  readonly signature: Uint8Array;
}

/** A {@link RootStatement} about to be signed. */
export type UnsignedRoot = Omit<RootStatement, "signature">;
/** A {@link MoveStatement} about to be signed. */
export type UnsignedMove = Omit<MoveStatement, "signature">;

const ROOT_DOMAIN = utf8("quaymesh root statement");
const MOVE_DOMAIN = utf8("quaymesh move statement");

/** The bytes that are signed: every part with its length before it, under a name of their own, so that nothing else a mesh's keys sign can be taken for them. */
export function rootStatementBytes(meshId: string, { version, signer, root, until }: UnsignedRoot): Uint8Array {
  return lvCat(ROOT_DOMAIN, utf8(meshId), u64(version), signer, root, u64(until));
}

/** As {@link rootStatementBytes}; each list of addresses is one part. */
export function moveStatementBytes(meshId: string, move: UnsignedMove): Uint8Array {
  const { version, time, addresses, pairing, issuer } = move;
  const list = (texts: readonly string[]): Uint8Array => lvCat(...texts.map(utf8));
  return lvCat(MOVE_DOMAIN, utf8(meshId), u64(version), u64(time), list(addresses), list(pairing), issuer);
}

/** ECDSA with SHA-256, as {@link SIGNATURE_BYTES} bytes. */
export function signBytes(bytes: Uint8Array, keyPair: KeyPair): Uint8Array {
  const key = createPrivateKey(keyPair.privatePem().reveal());
  return new Uint8Array(sign("sha256", bytes, { key, dsaEncoding: "ieee-p1363" }));
}

/** Whether `key` signed `bytes`; false for a signature of another form. */
export function isSigned(bytes: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  return verify("sha256", bytes, { key, dsaEncoding: "ieee-p1363" }, signature);
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}
