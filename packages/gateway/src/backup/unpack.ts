/** Opening a backup into a directory, where everything of it is checked. */
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Authority,
  IdentityError,
  KeyStore,
  openStream,
  sealingKey,
  Secret,
  writeFileAtomic,
  type SealingKey,
  type StreamSealing,
} from "@quaymesh/identity";
import { errnoOf } from "../daemon/errno.ts";
import { GatewayError } from "../errors.ts";
import { DATABASE_ENTRY, FILE_PREFIX, KEY_PREFIX, readArchive, type EntrySink, type Manifest } from "./archive.ts";
import { readFacts } from "./facts.ts";
import { removeAbandoned, workName, type WorkPlace } from "./leftovers.ts";

const VERIFY_PREFIX = "quaymesh-verify-";

/** What opens a backup: told what its header says. */
export type BackupKeys = (sealing: StreamSealing) => Promise<SealingKey>;

/** Where {@link unpackBackup} puts things. */
export interface UnpackTarget {
  readonly database: string;
  /** Directory of the sealed keys. */
  readonly authority: string;
  /** Seals the keys there. */
  readonly key: SealingKey;
}

/**
 * Open all of a backup into a new place, and check it as a whole: every byte by its seal, the database page by page, keys against certificates, and what the manifest says against what is there.
 * @throws {GatewayError} `BACKUP_DAMAGED`, `BACKUP_KEY_WRONG`, `BACKUP_NEWER`, `BACKUP_NOT_FOUND`, `STATE_NOT_WRITABLE`; what `keys` throws
 */
export async function unpackBackup(file: string, keys: BackupKeys, target: UnpackTarget): Promise<Manifest> {
  try {
    const store = await KeyStore.open(target.authority, { key: target.key });
    const manifest = await readArchive(openStream(bytesOf(file), keys), () => sinkInto(target, store));
    const authority = await Authority.open({ store });
    const facts = readFacts(target.database);
    const found: Readonly<Record<string, unknown>> = { ...facts };
    const agrees =
      authority.meshId === manifest.meshId &&
      Object.entries(manifest.facts).every(([name, value]) => found[name] === value);
    if (!agrees) throw new GatewayError("BACKUP_DAMAGED", "what is in the backup is not what its manifest says");
    return manifest;
  } catch (cause) {
    throw unpackError(cause, file);
  }
}

/**
 * Read all of a backup, and check it as a restore would. Nothing of it is left on disk (of a look that was killed: until the next in the same place), and no key ever is but sealed by one that is forgotten.
 * @param within where it is unpacked, readable by this user alone; default the directory for temporary files
 * @throws {GatewayError} as {@link unpackBackup}
 */
export async function verifyBackup(file: string, keys: BackupKeys, within?: WorkPlace): Promise<Manifest> {
  const { parent, prefix } = within ?? { parent: tmpdir(), prefix: VERIFY_PREFIX };
  // Where it cannot be listed nothing is removed, and looking goes on.
  await removeAbandoned(parent, prefix).catch(() => {});
  const directory = await mkdtemp(join(parent, workName(prefix)));
  const key = sealingKey(randomBytes(32));
  try {
    const [database, authority] = [join(directory, DATABASE_ENTRY), join(directory, "authority")];
    return await unpackBackup(file, keys, { database, authority, key });
  } finally {
    key.key.erase();
    await rm(directory, { recursive: true, force: true });
  }
}

function sinkInto({ database, authority }: UnpackTarget, store: KeyStore): EntrySink {
  return async ({ name }, bytes) => {
    if (name === DATABASE_ENTRY) return await writeThrough(database, bytes);
    const whole = await collect(bytes);
    if (name.startsWith(KEY_PREFIX)) {
      const secret = new Secret(whole);
      await store.put(name.slice(KEY_PREFIX.length), secret);
      secret.erase();
    } else await writeFileAtomic(join(authority, name.slice(FILE_PREFIX.length)), whole);
  };
}

async function writeThrough(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(path, "wx", 0o600);
  try {
    for await (const piece of bytes) await handle.writeFile(piece);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

async function* bytesOf(file: string): AsyncGenerator<Uint8Array, void, undefined> {
  yield* createReadStream(file, { highWaterMark: 1_048_576 }) as AsyncIterable<Uint8Array>;
}

function unpackError(cause: unknown, file: string): unknown {
  const metadata = { path: file };
  if (cause instanceof IdentityError) {
    switch (cause.code) {
      case "BACKUP_KEY_WRONG":
        return new GatewayError("BACKUP_KEY_WRONG", `${file} does not open: ${cause.message}`, { cause, metadata });
      case "BACKUP_VERSION":
        return new GatewayError("BACKUP_NEWER", `${file} cannot be read: ${cause.message}`, { cause, metadata });
      case "STORE_WRITE_FAILED":
        return new GatewayError("STATE_NOT_WRITABLE", cause.message, { cause, metadata });
      case "BACKUP_DAMAGED":
      case "CA_INVALID":
      case "STORE_MISSING":
      case "STORE_TAMPERED":
        return new GatewayError("BACKUP_DAMAGED", `${file} is damaged: ${cause.message}`, { cause, metadata });
      default:
        return cause;
    }
  }
  if (errnoOf(cause) === "ENOENT")
    return new GatewayError("BACKUP_NOT_FOUND", `there is no ${file}`, { cause, metadata });
  if (errnoOf(cause) === "ENOSPC")
    return new GatewayError("STATE_NOT_WRITABLE", "the disk is full", { cause, metadata });
  return cause;
}
