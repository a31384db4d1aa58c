/**
 * The code that a node without camera and keyboard shows itself. docs/wire.md, "A node's own code"; docs/adr/0015-what-a-node-shows.md.
 *
 * | bytes | |
 * |---|---|
 * | 1 | version 1 in the upper four bits; flags in the lower, none defined |
 * | 32 | SHA-256 of the SubjectPublicKeyInfo of the node's key |
 * | 16 | secret |
 * | 2 | CRC-16/IBM-3740 of all that precedes, big-endian |
 */
import { fromBase32, toBase32 } from "../base32.ts";
import { concatBytes, timingSafeEqualBytes, utf8 } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { sha256 } from "../keys/key-pair.ts";
import { Secret } from "../secret.ts";
import { crc16 } from "./crc16.ts";
import { TICKET_SECRET_BYTES } from "./ticket.ts";

/** What its text starts with. Upper case: a QR code stays in alphanumeric mode. */
export const OWN_CODE_PREFIX = "QUAYNODE:";

const VERSION_AND_FLAGS = 0x10;
const KEY_HASH_BYTES = 32;
const CODE_ID_BYTES = 8;
const CRC_BYTES = 2;
const BODY_BYTES = 1 + KEY_HASH_BYTES + TICKET_SECRET_BYTES;
/** Longest text that is looked at, white space not counted. */
const MAX_LENGTH = 256;

/** What a node shows. */
export interface OwnCode {
  /** SHA-256 of the SubjectPublicKeyInfo of the key that the node will come with, 32 bytes. */
  readonly spkiSha256: Uint8Array;
  /** 16 bytes. */
  readonly secret: Secret<Uint8Array>;
}

/** The name of such a secret on the wire: the first 8 bytes of SHA-256("quaymesh node code id" || secret). A ticket with the same secret has another. */
export function ownCodeIdOf(secret: Secret<Uint8Array>): Uint8Array {
  return sha256(concatBytes(utf8("quaymesh node code id"), secret.reveal())).slice(0, CODE_ID_BYTES);
}

/** A node's code as text. @throws {IdentityError} `VALUE_INVALID` */
export function formatOwnCode({ spkiSha256, secret }: OwnCode): string {
  if (spkiSha256.length !== KEY_HASH_BYTES || secret.reveal().length !== TICKET_SECRET_BYTES) {
    throw new IdentityError("VALUE_INVALID", "a node's code has a 32-byte key hash and a 16-byte secret");
  }
  const body = concatBytes(Uint8Array.of(VERSION_AND_FLAGS), spkiSha256, secret.reveal());
  return OWN_CODE_PREFIX + toBase32(concatBytes(body, checksum(body)));
}

/**
 * Read a node's code as scanned, pasted or typed: any case, white space anywhere.
 * @throws {IdentityError} `TICKET_UNREADABLE`, `TICKET_MISTYPED`, `TICKET_VERSION`
 */
export function parseOwnCode(text: string): OwnCode {
  const compact = text
    .slice(0, 2 * MAX_LENGTH)
    .replaceAll(/\s+/gu, "")
    .toUpperCase();
  if (compact.length > MAX_LENGTH) throw unreadable("it is too long");
  if (!compact.startsWith(OWN_CODE_PREFIX)) throw unreadable(`it does not start with ${OWN_CODE_PREFIX}`);
  const bytes = fromBase32(compact.slice(OWN_CODE_PREFIX.length));
  if (bytes === undefined) throw unreadable("it has characters or a length that no code has");
  const body = bytes.subarray(0, Math.max(0, bytes.length - CRC_BYTES));
  // The checksum comes first, in every version: a slip of the finger is not to be called another version.
  if (body.length === 0 || !timingSafeEqualBytes(checksum(body), bytes.subarray(body.length))) {
    throw new IdentityError("TICKET_MISTYPED", "this node's code has a wrong or missing character");
  }
  if (body[0] !== VERSION_AND_FLAGS) {
    throw new IdentityError(
      "TICKET_VERSION",
      `this node's code is of version ${(body[0] ?? 0) >> 4}; this program reads version 1`,
    );
  }
  if (body.length !== BODY_BYTES) throw unreadable("it is too short or too long");
  const spkiSha256 = body.slice(1, 1 + KEY_HASH_BYTES);
  return { spkiSha256, secret: new Secret(body.slice(1 + KEY_HASH_BYTES)) };
}

function checksum(body: Uint8Array): Uint8Array {
  const crc = crc16(body);
  return Uint8Array.of(crc >>> 8, crc & 0xff);
}

function unreadable(why: string): IdentityError {
  return new IdentityError("TICKET_UNREADABLE", `this is not a node's code that can be read: ${why}`);
}
