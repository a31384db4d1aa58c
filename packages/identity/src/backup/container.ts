/**
 * A sealed stream: what a backup lies in. A header, then chunks of 64 KiB, each sealed by AES-256-GCM; the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár (CRYPTO 2015).
 *
 * | offset | bytes | |
 * |---|---|---|
 * | 0 | 4 | `QMBK` |
 * | 4 | 1 | format, 1 |
 * | 5 | 1 | 1: a key; 2: a passphrase |
 * | 6 | 8 | identifier of the key |
 * | 14 | 32 | salt of this file: HKDF-SHA-256 makes of it and the key the one the chunks are sealed with, which is used for nothing else |
 * | 46 | 12 | Argon2id: memory in KiB, passes, lanes, each u32; zeros with a key |
 * | 58 | 32 | Argon2id's salt; zeros with a key |
 * | 90 | 4 | first bytes of SHA-256 of what precedes: a damaged header is not taken for a wrong passphrase |
 *
 * A chunk is up to 65 536 bytes and a tag of 16; all but the last are full. Its nonce is 7 zero bytes, its number (u32, from 0) and 1 where it is the last, else 0; the header is associated data.
 * So no chunk can be left out, repeated, moved, put into another file or taken for the end.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { concatBytes, timingSafeEqualBytes, utf8 } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { sha256 } from "../keys/key-pair.ts";
import { checkPassphraseParameters, type PassphraseParameters } from "../store/sealing-header.ts";
import type { SealedWith } from "../store/reseal.ts";
import { KEY_ID_BYTES, type SealingKey } from "../store/sealing-key.ts";

const MAGIC = utf8("QMBK");
const FORMAT = 1;
const KIND = { key: 1, passphrase: 2 } as const;
const KEY_ID_AT = 6;
const FILE_SALT_AT = KEY_ID_AT + KEY_ID_BYTES;
const SALT_BYTES = 32;
const COSTS_AT = FILE_SALT_AT + SALT_BYTES;
const PASSPHRASE_SALT_AT = COSTS_AT + 12;
const CHECK_AT = PASSPHRASE_SALT_AT + SALT_BYTES;
const HEADER_BYTES = CHECK_AT + 4;
const CHUNK_BYTES = 65_536;
const TAG_BYTES = 16;
const ALGORITHM = "aes-256-gcm";

/** What the header of a sealed stream asks for. */
export type StreamSealing =
  | { readonly kind: "key" }
  | { readonly kind: "passphrase"; readonly parameters: PassphraseParameters };

/**
 * Seal a stream.
 * @param with_ the key, and what it was derived from where that was a passphrase: the header says so
 * @returns the container's bytes, in pieces; what `plaintext` throws is rethrown
 */
export async function* sealStream(
  plaintext: AsyncIterable<Uint8Array>,
  with_: SealedWith,
): AsyncGenerator<Uint8Array, void, undefined> {
  const header = encodeHeader(with_);
  const chunkKey = chunkKeyOf(header, with_.key);
  try {
    yield header;
    let number = 0;
    for await (const { bytes, last } of chunksOf(plaintext, CHUNK_BYTES)) {
      const cipher = createCipheriv(ALGORITHM, chunkKey, nonceOf(number, last), { authTagLength: TAG_BYTES });
      cipher.setAAD(header);
      yield concatBytes(cipher.update(bytes), cipher.final(), cipher.getAuthTag());
      number += 1;
    }
  } finally {
    chunkKey.fill(0);
  }
}

/**
 * Open what {@link sealStream} made. Each piece was sealed as it is given; that nothing is missing is known only when the generator has ended without an error.
 * @param keyFor asked once, with what the header says
 * @throws {IdentityError} `BACKUP_DAMAGED` for anything that is not as it was written, `BACKUP_KEY_WRONG`, `BACKUP_VERSION`; what `sealed` and `keyFor` throw
 */
export async function* openStream(
  sealed: AsyncIterable<Uint8Array>,
  keyFor: (sealing: StreamSealing) => Promise<SealingKey>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = sealed[Symbol.asyncIterator]();
  try {
    const { header, rest } = await readHeader(pieces);
    const key = await keyFor(parseHeader(header));
    if (!timingSafeEqualBytes(header.subarray(KEY_ID_AT, FILE_SALT_AT), key.id)) {
      throw new IdentityError("BACKUP_KEY_WRONG", "it was sealed with another key or passphrase");
    }
    const chunkKey = chunkKeyOf(header, key);
    try {
      let number = 0;
      for await (const { bytes, last } of chunksOf(behind(rest, pieces), CHUNK_BYTES + TAG_BYTES)) {
        yield openChunk(bytes, { header, chunkKey, number, last });
        number += 1;
      }
    } finally {
      chunkKey.fill(0);
    }
  } finally {
    await pieces.return?.();
  }
}

function openChunk(
  sealed: Uint8Array,
  at: { readonly header: Uint8Array; readonly chunkKey: Uint8Array; readonly number: number; readonly last: boolean },
): Uint8Array {
  const { header, chunkKey, number, last } = at;
  const end = sealed.length - TAG_BYTES;
  try {
    const decipher = createDecipheriv(ALGORITHM, chunkKey, nonceOf(number, last), { authTagLength: TAG_BYTES });
    decipher.setAAD(header);
    decipher.setAuthTag(sealed.subarray(Math.max(0, end)));
    return concatBytes(decipher.update(sealed.subarray(0, Math.max(0, end))), decipher.final());
  } catch (cause) {
    const where = `at byte ${HEADER_BYTES + number * (CHUNK_BYTES + TAG_BYTES)}`;
    throw new IdentityError("BACKUP_DAMAGED", `it is cut off or was changed, ${where}`, { cause });
  }
}

function encodeHeader({ key, parameters }: SealedWith): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  header.set(MAGIC);
  header[4] = FORMAT;
  header[5] = parameters === undefined ? KIND.key : KIND.passphrase;
  header.set(key.id, KEY_ID_AT);
  header.set(randomBytes(SALT_BYTES), FILE_SALT_AT);
  if (parameters !== undefined) {
    const { memoryKib, passes, lanes, salt } = checkPassphraseParameters(parameters);
    if (salt.length !== SALT_BYTES) throw new IdentityError("VALUE_INVALID", `the salt must have ${SALT_BYTES} bytes`);
    for (const [at, value] of [memoryKib, passes, lanes].entries()) view.setUint32(COSTS_AT + 4 * at, value);
    header.set(salt, PASSPHRASE_SALT_AT);
  }
  header.set(sha256(header.subarray(0, CHECK_AT)).subarray(0, 4), CHECK_AT);
  return header;
}

function parseHeader(header: Uint8Array): StreamSealing {
  const check = sha256(header.subarray(0, CHECK_AT)).subarray(0, 4);
  if (!timingSafeEqualBytes(check, header.subarray(CHECK_AT))) {
    throw new IdentityError("BACKUP_DAMAGED", "its header was changed");
  }
  if (header[4] !== FORMAT)
    throw new IdentityError("BACKUP_VERSION", `it has format ${header[4]}, this version knows ${FORMAT}`);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [memoryKib, passes, lanes] = [0, 4, 8].map((at) => view.getUint32(COSTS_AT + at));
  if (header[5] === KIND.key) return { kind: "key" };
  if (header[5] !== KIND.passphrase)
    throw new IdentityError("BACKUP_VERSION", "it is sealed in a way this version does not know");
  try {
    const salt = header.slice(PASSPHRASE_SALT_AT, CHECK_AT);
    const costs = { memoryKib: memoryKib ?? 0, passes: passes ?? 0, lanes: lanes ?? 0 };
    return { kind: "passphrase", parameters: checkPassphraseParameters({ ...costs, salt }) };
  } catch (cause) {
    throw new IdentityError("BACKUP_DAMAGED", "its header asks for what nobody would have chosen", { cause });
  }
}

async function readHeader(
  pieces: AsyncIterator<Uint8Array>,
): Promise<{ readonly header: Uint8Array; readonly rest: Uint8Array }> {
  let bytes: Uint8Array = new Uint8Array();
  while (bytes.length < HEADER_BYTES) {
    const next = await pieces.next();
    if (next.done === true) break;
    bytes = concatBytes(bytes, next.value);
  }
  if (!timingSafeEqualBytes(bytes.subarray(0, 4), MAGIC)) throw new IdentityError("BACKUP_DAMAGED", "it is no backup");
  if (bytes.length < HEADER_BYTES) throw new IdentityError("BACKUP_DAMAGED", "it is cut off in its header");
  return { header: bytes.slice(0, HEADER_BYTES), rest: bytes.subarray(HEADER_BYTES) };
}

async function* behind(first: Uint8Array, pieces: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value;
}

/** Full chunks, and at least one that is the last: full too, shorter, or empty. Whether one is the last shows when more comes, or nothing. */
async function* chunksOf(
  pieces: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly last: boolean }> {
  const buffer = new Uint8Array(size);
  let filled = 0;
  for await (const piece of pieces) {
    let at = 0;
    while (at < piece.length) {
      if (filled === size) {
        yield { bytes: buffer, last: false };
        filled = 0;
      }
      const taken = Math.min(size - filled, piece.length - at);
      buffer.set(piece.subarray(at, at + taken), filled);
      [filled, at] = [filled + taken, at + taken];
    }
  }
  yield { bytes: buffer.subarray(0, filled), last: true };
}

function nonceOf(number: number, last: boolean): Uint8Array {
  if (number > 0xffff_ffff) throw new IdentityError("VALUE_INVALID", "more than a sealed stream may hold");
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(7, number);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

function chunkKeyOf(header: Uint8Array, { key }: SealingKey): Uint8Array {
  const salt = header.subarray(FILE_SALT_AT, COSTS_AT);
  return new Uint8Array(hkdfSync("sha256", key.reveal(), salt, "quaymesh backup", 32));
}
