/**
 * A sealed file: header, ciphertext, tag. AES-256-GCM; the header and the file's name are authenticated, so that one sealed file cannot
 * stand in for another.
 *
 * | offset | bytes | |
 * |---|---|---|
 * | 0 | 4 | `QMSK` |
 * | 4 | 1 | format, 1 |
 * | 5 | 8 | identifier of the sealing key |
 * | 13 | 12 | nonce, random for every write |
 * | 25 | 4 | first bytes of SHA-256 of what precedes: a damaged header is not taken for a wrong key |
 * | 29 | n + 16 | ciphertext, then the tag |
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { concatBytes, timingSafeEqualBytes, utf8 } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { sha256 } from "../keys/key-pair.ts";
import { KEY_ID_BYTES, type SealingKey } from "./sealing-key.ts";

const MAGIC = utf8("QMSK");
const FORMAT = 1;
const ALGORITHM = "aes-256-gcm";
/** NIST SP 800-38D section 8.2.2: random nonces are safe to 2^32 writes under one key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID_AT = MAGIC.length + 1;
const NONCE_AT = KEY_ID_AT + KEY_ID_BYTES;
const CHECK_AT = NONCE_AT + NONCE_BYTES;
const HEADER_BYTES = CHECK_AT + 4;

/** Seal `plaintext` as the file called `name`. */
export function seal(plaintext: Uint8Array, name: string, key: SealingKey): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const front = concatBytes(MAGIC, Uint8Array.of(FORMAT), key.id, nonce);
  const header = concatBytes(front, sha256(front).subarray(0, 4));
  const cipher = createCipheriv(ALGORITHM, key.key.reveal(), nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(concatBytes(header, utf8(name)));
  return concatBytes(header, cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}

/**
 * Open what {@link seal} made.
 * @throws {IdentityError} `STORE_KEY_WRONG` when another key sealed it, `STORE_TAMPERED` when a bit of it or its name is not as written
 */
export function unseal(sealed: Uint8Array, name: string, key: SealingKey): Uint8Array {
  const header = sealed.subarray(0, HEADER_BYTES);
  const front = header.subarray(0, CHECK_AT);
  const whole = sealed.length >= HEADER_BYTES + TAG_BYTES && timingSafeEqualBytes(front.subarray(0, 4), MAGIC);
  if (!whole || !timingSafeEqualBytes(sha256(front).subarray(0, 4), header.subarray(CHECK_AT))) {
    throw new IdentityError("STORE_TAMPERED", `${name} is damaged or not a sealed file`);
  }
  if (front[MAGIC.length] !== FORMAT) {
    throw new IdentityError("STORE_TAMPERED", `${name} has a format this version does not know`);
  }
  if (!timingSafeEqualBytes(front.subarray(KEY_ID_AT, NONCE_AT), key.id)) {
    throw new IdentityError("STORE_KEY_WRONG", `${name} was sealed with another key`);
  }
  const decipher = createDecipheriv(ALGORITHM, key.key.reveal(), front.subarray(NONCE_AT), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(concatBytes(header, utf8(name)));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  try {
    return concatBytes(decipher.update(sealed.subarray(HEADER_BYTES, sealed.length - TAG_BYTES)), decipher.final());
  } catch (cause) {
    throw new IdentityError("STORE_TAMPERED", `${name} was changed since it was sealed`, { cause });
  }
}
