import { argon2, createHmac, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { IdentityError } from "../errors.ts";
import { Secret } from "../secret.ts";
import { assertPrivate, PRIVATE_FILE_MODE } from "./permissions.ts";
import { writeFileAtomic } from "./write-file-atomic.ts";

/** Length of an AES-256 key, in bytes. */
const SEALING_KEY_BYTES = 32;
/** Length of the identifier by which a sealed file names its key, in bytes. */
export const KEY_ID_BYTES = 8;

/** The key that seals a store, and its public identifier: with it a wrong key is told from a damaged file. */
export interface SealingKey {
  readonly key: Secret<Uint8Array>;
  /** 8 bytes; says nothing about the key. */
  readonly id: Uint8Array;
}

/** What Argon2id spends on one guess. */
export interface PassphraseCosts {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

/** RFC 9106 section 4, second recommended option. */
export const PASSPHRASE_COSTS: PassphraseCosts = { memoryKib: 65_536, passes: 3, lanes: 4 };

/** Wrap 32 raw key bytes, for example of a systemd credential. @throws {IdentityError} `STORE_KEY_WRONG` for another length */
export function sealingKey(bytes: Uint8Array): SealingKey {
  if (bytes.length !== SEALING_KEY_BYTES) {
    throw new IdentityError("STORE_KEY_WRONG", `a sealing key has ${SEALING_KEY_BYTES} bytes, not ${bytes.length}`);
  }
  const digest = createHmac("sha256", bytes).update("quaymesh sealing key id").digest();
  return { key: new Secret(Uint8Array.from(bytes)), id: new Uint8Array(digest.subarray(0, KEY_ID_BYTES)) };
}

/**
 * Read a key file: 32 random bytes, mode 0600.
 * @throws {IdentityError} `STORE_MISSING`, `STORE_PERMISSIONS`, `STORE_KEY_WRONG` for another length, `STORE_READ_FAILED`
 */
export async function readKeyFile(path: string): Promise<SealingKey> {
  await assertPrivate(path);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new IdentityError("STORE_READ_FAILED", `could not read ${path}`, { cause });
  }
  return consumed(bytes);
}

/**
 * Make a key file of 32 random bytes.
 * @throws {IdentityError} `STORE_EXISTS` when there is one: overwriting it would lose every key it seals; `STORE_WRITE_FAILED`
 */
export async function createKeyFile(path: string): Promise<SealingKey> {
  const bytes = randomBytes(SEALING_KEY_BYTES);
  await writeFileAtomic(path, bytes, { mode: PRIVATE_FILE_MODE, replace: false });
  return consumed(bytes);
}

/** The key keeps a copy; these bytes are done with. */
function consumed(bytes: Uint8Array): SealingKey {
  try {
    return sealingKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

/**
 * Derive a sealing key from a passphrase with Argon2id. The passphrase is taken in Unicode's NFC, so that two keyboards give one key.
 * @param salt at least 16 random bytes, kept beside the store; the same salt gives the same key
 * @param costs kept beside the store too; a reader bounds them first, see sealing-header.ts
 */
export async function passphraseSealingKey(
  passphrase: Secret<string>,
  salt: Uint8Array,
  costs: PassphraseCosts = PASSPHRASE_COSTS,
): Promise<SealingKey> {
  if (salt.length < 16) throw new IdentityError("VALUE_INVALID", "the salt must have at least 16 bytes");
  const derived = await promisify(argon2)("argon2id", {
    message: passphrase.reveal().normalize("NFC"),
    nonce: salt,
    memory: costs.memoryKib,
    passes: costs.passes,
    parallelism: costs.lanes,
    tagLength: SEALING_KEY_BYTES,
  });
  try {
    return sealingKey(derived);
  } finally {
    derived.fill(0);
  }
}
