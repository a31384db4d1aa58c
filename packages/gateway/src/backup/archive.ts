/** What is inside a backup: a manifest, then the bytes of its entries one after the other, in the manifest's order. `u32 length || JSON || entries`. */
import { GatewayError } from "../errors.ts";
import type { StoreFacts } from "./facts.ts";

/** Format of the archive. */
export const ARCHIVE_FORMAT = 1;
/** Name of the entry that holds the database. */
export const DATABASE_ENTRY = "gateway.sqlite";
/** Secrets, each by the name of its sealed file, as they were before they were sealed. */
export const KEY_PREFIX = "keys/";
/** What else lies in the authority's directory. */
export const FILE_PREFIX = "authority/";

const MAX_MANIFEST_BYTES = 1_048_576;
/** Secrets and small files are held in memory. */
const MAX_SMALL_BYTES = 1_048_576;
const ENTRY_NAME = /^(?:keys\/[a-z0-9][a-z0-9-]{0,63}|authority\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}|gateway\.sqlite)$/u;

/** One entry. */
export interface Entry {
  readonly name: string;
  readonly bytes: number;
}

/** What a backup says of itself. */
export interface Manifest {
  readonly format: number;
  /** Version of Quaymesh that made it. */
  readonly version: string;
  readonly meshId: string;
  readonly meshName: string;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly facts: StoreFacts;
  readonly entries: readonly Entry[];
}

/** Write an archive. `open` gives an entry's bytes, as many as the manifest says. */
export async function* writeArchive(
  manifest: Manifest,
  open: (entry: Entry) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const text = new TextEncoder().encode(JSON.stringify(manifest));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, text.length);
  yield length;
  yield text;
  for (const entry of manifest.entries) {
    let bytes = 0;
    for await (const piece of open(entry)) {
      bytes += piece.length;
      yield piece;
    }
    if (bytes !== entry.bytes) throw new GatewayError("STORE_FAILED", `${entry.name} changed while it was backed up`);
  }
}

/** Where {@link readArchive} puts an entry. */
export type EntrySink = (entry: Entry, bytes: AsyncIterable<Uint8Array>) => Promise<void>;

/**
 * Read an archive to its very end. Nothing of it may be relied on before this resolves.
 * @param begin is told of the manifest, and says where the entries go
 * @throws {GatewayError} `BACKUP_DAMAGED`, `BACKUP_NEWER`; what `begin` and the sinks throw
 */
export async function readArchive(
  plaintext: AsyncIterable<Uint8Array>,
  begin: (manifest: Manifest) => Promise<EntrySink> | EntrySink,
): Promise<Manifest> {
  const source = new Source(plaintext);
  try {
    const length = new DataView((await source.exactly(4)).buffer).getUint32(0);
    if (length > MAX_MANIFEST_BYTES) throw damaged("its manifest is too long");
    const manifest = parseManifest(new TextDecoder().decode(await source.exactly(length)));
    const sink = await begin(manifest);
    for (const entry of manifest.entries) {
      const left = { bytes: entry.bytes };
      await sink(entry, source.upTo(left));
      // A sink that did not want it.
      for await (const _ of source.upTo(left));
    }
    if (!(await source.isAtEnd())) throw damaged("there is more in it than its manifest says");
    return manifest;
  } finally {
    await source.close();
  }
}

function parseManifest(text: string): Manifest {
  let manifest: Manifest;
  try {
    // Whoever could write it has the key: it is of ours, of this version or another.
    manifest = JSON.parse(text) as Manifest;
  } catch (cause) {
    throw damaged("its manifest cannot be read", cause);
  }
  if (manifest.format !== ARCHIVE_FORMAT) {
    throw new GatewayError(
      "BACKUP_NEWER",
      `the backup has format ${manifest.format}, this version knows ${ARCHIVE_FORMAT}`,
    );
  }
  const names = manifest.entries.map(({ name }) => name);
  const isSound =
    names.every((name) => ENTRY_NAME.test(name)) &&
    new Set(names).size === names.length &&
    names.includes(DATABASE_ENTRY) &&
    names.includes(`${KEY_PREFIX}authority`) &&
    manifest.entries.every(({ name, bytes }) => isSize(bytes, name === DATABASE_ENTRY ? Infinity : MAX_SMALL_BYTES));
  if (!isSound) throw damaged("its manifest makes no sense");
  return manifest;
}

function isSize(bytes: number, most: number): boolean {
  return Number.isSafeInteger(bytes) && bytes >= 0 && bytes <= most;
}

function damaged(what: string, cause?: unknown): GatewayError {
  return new GatewayError("BACKUP_DAMAGED", `the backup is damaged: ${what}`, { cause });
}

/** A stream read in portions. */
class Source {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#pieces = stream[Symbol.asyncIterator]();
  }

  async exactly(length: number): Promise<Uint8Array> {
    const out = new Uint8Array(length);
    let at = 0;
    for await (const piece of this.upTo({ bytes: length })) {
      out.set(piece, at);
      at += piece.length;
    }
    return out;
  }

  /** The next bytes, `left` counting down; leaving early leaves the rest there. */
  async *upTo(left: { bytes: number }): AsyncGenerator<Uint8Array, void, undefined> {
    while (left.bytes > 0) {
      if (this.#rest.length === 0 && !(await this.#fill())) throw damaged("it ends too early");
      const piece = this.#rest.subarray(0, Math.min(left.bytes, this.#rest.length));
      this.#rest = this.#rest.subarray(piece.length);
      left.bytes -= piece.length;
      yield piece;
    }
  }

  async isAtEnd(): Promise<boolean> {
    return this.#rest.length === 0 && !(await this.#fill());
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  async #fill(): Promise<boolean> {
    for (;;) {
      const next = await this.#pieces.next();
      if (next.done === true) return false;
      this.#rest = next.value;
      if (this.#rest.length > 0) return true;
    }
  }
}
