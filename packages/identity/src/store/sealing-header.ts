/**
 * How a store is sealed: `sealing.json` beside its sealed files. Where it is missing, a key is asked for that somebody keeps: a key file, or a credential. The file holds no secret, and nothing is
 * lost by its being changed: another salt or cost gives another key, which opens nothing.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { IdentityError } from "../errors.ts";
import type { Secret } from "../secret.ts";
import { isMissing } from "./permissions.ts";
import { PASSPHRASE_COSTS, passphraseSealingKey, type PassphraseCosts, type SealingKey } from "./sealing-key.ts";
import { writeFileAtomic } from "./write-file-atomic.ts";

/** Name of the file in the store's directory. */
export const SEALING_HEADER_NAME = "sealing.json";

const FORMAT = 1;
const SALT_BYTES = 32;
/** Whoever can write the header could otherwise have a start take all memory, or hours. */
const MOST: PassphraseCosts = { memoryKib: 1_048_576, passes: 32, lanes: 16 };
/** RFC 9106 section 3.1: 8 KiB for each lane. */
const LEAST_KIB_PER_LANE = 8;

/** What a key is derived from a passphrase with. */
export interface PassphraseParameters extends PassphraseCosts {
  readonly salt: Uint8Array;
}

/** How a store is sealed. */
export type Sealing =
  | { readonly kind: "key" }
  | { readonly kind: "passphrase"; readonly parameters: PassphraseParameters };

/** Parameters for a new passphrase, with a salt of its own. */
export function newPassphraseParameters(costs: PassphraseCosts = PASSPHRASE_COSTS): PassphraseParameters {
  return { ...costs, salt: new Uint8Array(randomBytes(SALT_BYTES)) };
}

/** The key that a passphrase gives with these parameters. About a sixth of a second and 64 MiB. */
export async function deriveSealingKey(
  passphrase: Secret<string>,
  parameters: PassphraseParameters,
): Promise<SealingKey> {
  return await passphraseSealingKey(passphrase, parameters.salt, parameters);
}

/** @throws {IdentityError} `STORE_TAMPERED` for costs nobody chose and salts nobody drew */
export function checkPassphraseParameters(parameters: PassphraseParameters): PassphraseParameters {
  const { memoryKib, passes, lanes, salt } = parameters;
  const sound =
    within(lanes, 1, MOST.lanes) &&
    within(passes, 1, MOST.passes) &&
    within(memoryKib, LEAST_KIB_PER_LANE * lanes, MOST.memoryKib) &&
    within(salt.length, 16, 64);
  if (!sound) throw new IdentityError("STORE_TAMPERED", "the costs of the passphrase are out of bounds");
  return parameters;
}

/** Write the header of a passphrase. @throws {IdentityError} `STORE_WRITE_FAILED` */
export async function writeSealing(directory: string, parameters: PassphraseParameters): Promise<void> {
  const { salt, memoryKib, passes, lanes } = parameters;
  const header = { format: FORMAT, kind: "passphrase", kdf: "argon2id", memoryKib, passes, lanes, salt: hex(salt) };
  await writeFileAtomic(join(directory, SEALING_HEADER_NAME), `${JSON.stringify(header)}\n`);
}

/** How the store in `directory` is sealed. @throws {IdentityError} `STORE_TAMPERED`, `STORE_READ_FAILED` */
export async function readSealing(directory: string): Promise<Sealing> {
  const path = join(directory, SEALING_HEADER_NAME);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return { kind: "key" };
    throw new IdentityError("STORE_READ_FAILED", `could not read ${path}`, { cause });
  }
  return { kind: "passphrase", parameters: parseParameters(text, path) };
}

function parseParameters(text: string, path: string): PassphraseParameters {
  const header = parseJson(text);
  const { format, kind, kdf, memoryKib, passes, lanes, salt } = header;
  if (format !== FORMAT || kind !== "passphrase" || kdf !== "argon2id" || typeof salt !== "string") {
    throw new IdentityError("STORE_TAMPERED", `${path} is damaged, or of a version this one does not know`);
  }
  const numbers = [memoryKib, passes, lanes].map((value) => (typeof value === "number" ? value : Number.NaN));
  const [memory = Number.NaN, times = Number.NaN, wide = Number.NaN] = numbers;
  return checkPassphraseParameters({
    memoryKib: memory,
    passes: times,
    lanes: wide,
    salt: new Uint8Array(Buffer.from(salt, "hex")),
  });
}

function parseJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function within(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= least && value <= most;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
