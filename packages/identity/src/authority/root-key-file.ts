/** A root's key outside of the gateway: a file that only its passphrase opens. */
import { randomBytes } from "node:crypto";
import { utf8 } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { KeyPair } from "../keys/key-pair.ts";
import { Secret } from "../secret.ts";
import { seal, unseal } from "../store/sealed-file.ts";
import { passphraseSealingKey } from "../store/sealing-key.ts";

const FORMAT = "quaymesh root key";
const VERSION = 1;
const SEALED_NAME = "exported-root-key";
const SALT_BYTES = 16;
/** Fewest characters of a passphrase. The file may lie in a drawer for twenty years. */
export const MIN_PASSPHRASE_LENGTH = 12;

/** What a file says without its passphrase. */
export interface RootKeyFacts {
  readonly meshId: string;
  readonly meshName: string;
  /** Lower-case hexadecimal SHA-256 of the root's SubjectPublicKeyInfo. */
  readonly rootFingerprint: string;
}

/**
 * Write a root's key as text. What it says of the mesh is for people; the key inside is what counts.
 * @throws {IdentityError} `VALUE_INVALID` for a passphrase that is too short
 */
export async function sealRootKey(keyPair: KeyPair, facts: RootKeyFacts, passphrase: Secret<string>): Promise<string> {
  if (passphrase.reveal().length < MIN_PASSPHRASE_LENGTH) {
    throw new IdentityError("VALUE_INVALID", `a passphrase has ${MIN_PASSPHRASE_LENGTH} characters at least`);
  }
  const salt = randomBytes(SALT_BYTES);
  const sealing = await passphraseSealingKey(passphrase, salt);
  const sealed = seal(utf8(keyPair.privatePem().reveal()), SEALED_NAME, sealing);
  const fields = { format: FORMAT, version: VERSION, ...facts, salt: base64(salt), sealed: base64(sealed) };
  return `${JSON.stringify(fields, undefined, 2)}\n`;
}

/**
 * Read {@link sealRootKey} back.
 * @throws {IdentityError} `ROOT_KEY_WRONG` for another passphrase, a damaged file, or one that is none
 */
export async function openRootKey(text: string, passphrase: Secret<string>): Promise<KeyPair> {
  const { salt, sealed } = parse(text);
  try {
    const sealing = await passphraseSealingKey(passphrase, salt);
    const pem = new TextDecoder("utf-8", { fatal: true }).decode(unseal(sealed, SEALED_NAME, sealing));
    return await KeyPair.fromPem(new Secret(pem));
  } catch (cause) {
    const wrong = cause instanceof IdentityError && cause.code === "STORE_KEY_WRONG";
    const why = wrong ? "the passphrase is another one" : "the file is damaged";
    throw new IdentityError("ROOT_KEY_WRONG", `the root's key cannot be read: ${why}`, { cause });
  }
}

function parse(text: string): { readonly salt: Uint8Array; readonly sealed: Uint8Array } {
  const fields = fieldsOf(text);
  const [salt, sealed] = [fields.get("salt"), fields.get("sealed")];
  const known = fields.get("format") === FORMAT && fields.get("version") === VERSION;
  if (!known || typeof salt !== "string" || typeof sealed !== "string") {
    throw new IdentityError("ROOT_KEY_WRONG", "this is no file with a root's key, or one of a later version");
  }
  return { salt: bytesOf(salt), sealed: bytesOf(sealed) };
}

function fieldsOf(text: string): ReadonlyMap<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return new Map(typeof value === "object" && value !== null ? Object.entries(value) : []);
  } catch {
    return new Map();
  }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));
