import { readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { utf8 } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { Secret } from "../secret.ts";
import { assertPrivate, isMissing, makePrivateDirectory, PRIVATE_FILE_MODE } from "./permissions.ts";
import { seal, unseal } from "./sealed-file.ts";
import type { SealingKey } from "./sealing-key.ts";
import { syncDirectory, writeFileAtomic } from "./write-file-atomic.ts";

const SUFFIX = ".sealed";
const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

/**
 * Secrets at rest: one sealed file each, 0600, in a directory 0700. A write replaces a file as a whole or not at all.
 * It holds no handle, so there is nothing to close.
 */
export class KeyStore {
  /** The directory. */
  readonly directory: string;
  /** What seals it. */
  readonly key: SealingKey;

  private constructor(directory: string, key: SealingKey) {
    this.directory = directory;
    this.key = key;
  }

  /**
   * Open a directory of sealed files; it is made when missing.
   * @throws {IdentityError} `STORE_PERMISSIONS`, `STORE_WRITE_FAILED`
   */
  static async open(directory: string, options: { readonly key: SealingKey }): Promise<KeyStore> {
    await makePrivateDirectory(directory);
    return new KeyStore(directory, options.key);
  }

  /**
   * Store or replace.
   * @param name lower-case letters, digits and dashes, to 64
   * @throws {IdentityError} `STORE_WRITE_FAILED`; `VALUE_INVALID` for a bad name
   */
  async put(name: string, secret: Secret<Uint8Array> | Secret<string>): Promise<void> {
    const value = secret.reveal();
    const plaintext = typeof value === "string" ? utf8(value) : value;
    await writeFileAtomic(this.#path(name), seal(plaintext, name, this.key), { mode: PRIVATE_FILE_MODE });
  }

  /**
   * Read.
   * @throws {IdentityError} `STORE_MISSING`, `STORE_PERMISSIONS`, `STORE_KEY_WRONG`, `STORE_TAMPERED`, `STORE_READ_FAILED`
   */
  async get(name: string): Promise<Secret<Uint8Array>> {
    const path = this.#path(name);
    await assertPrivate(path);
    let sealed: Uint8Array;
    try {
      sealed = await readFile(path);
    } catch (cause) {
      throw new IdentityError("STORE_READ_FAILED", `could not read ${path}`, { cause });
    }
    return new Secret(unseal(sealed, name, this.key));
  }

  /** {@link KeyStore.get} of text. Same errors. */
  async getText(name: string): Promise<Secret<string>> {
    const bytes = await this.get(name);
    return new Secret(new TextDecoder("utf-8", { fatal: true }).decode(bytes.reveal()));
  }

  /** Whether there is such a file, readable or not. */
  async has(name: string): Promise<boolean> {
    this.#path(name);
    return (await this.names()).includes(name);
  }

  /** Every name, sorted. @throws {IdentityError} `STORE_READ_FAILED` */
  async names(): Promise<string[]> {
    let entries: string[];
    try {
      entries = await readdir(this.directory);
    } catch (cause) {
      throw new IdentityError("STORE_READ_FAILED", `could not list ${this.directory}`, { cause });
    }
    return entries
      .filter((entry) => entry.endsWith(SUFFIX))
      .map((entry) => entry.slice(0, -SUFFIX.length))
      .filter((name) => NAME.test(name))
      .sort();
  }

  /** Remove. Idempotent. @throws {IdentityError} `STORE_WRITE_FAILED` */
  async delete(name: string): Promise<void> {
    const path = this.#path(name);
    try {
      await unlink(path);
      await syncDirectory(this.directory);
    } catch (cause) {
      if (isMissing(cause)) return;
      throw new IdentityError("STORE_WRITE_FAILED", `could not remove ${path}`, { cause });
    }
  }

  #path(name: string): string {
    if (!NAME.test(name)) throw new IdentityError("VALUE_INVALID", `${JSON.stringify(name)} cannot name a sealed file`);
    return join(this.directory, `${name}${SUFFIX}`);
  }
}
