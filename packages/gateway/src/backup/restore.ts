/** `quaymesh gateway restore`: a state directory out of a backup. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { IdentityError, syncDirectory, writeSealing } from "@quaymesh/identity";
import { errnoOf } from "../daemon/errno.ts";
import { authorityError } from "../daemon/open-authority.ts";
import { sealedWith, type NewSealing } from "../daemon/new-sealing.ts";
import { stateLayout } from "../daemon/state-directory.ts";
import { GatewayError } from "../errors.ts";
import { writeGeneration } from "../store/sqlite/generation.ts";
import type { Manifest } from "./archive.ts";
import { removeAbandoned, workName } from "./leftovers.ts";
import { settleRestored, withDatabase } from "./settle.ts";
import { unpackBackup, type BackupKeys } from "./unpack.ts";

/** What {@link restoreGateway} takes. */
export interface RestoreOptions {
  readonly file: string;
  /** What opens the backup. */
  readonly keys: BackupKeys;
  /** The state directory: it must not exist, or be empty. */
  readonly directory: string;
  /** What seals the keys from then on. Default: a new key file in the state directory. */
  readonly sealing?: NewSealing;
  /** Unix milliseconds. */
  readonly now: number;
}

/**
 * Make a state directory of a backup. It is made beside its place, checked as a whole, and moved there last, in one step.
 * @returns what the backup says of itself
 * @throws {GatewayError} `STATE_NOT_EMPTY`, `BACKUP_*`, `STATE_*`, `AUTHORITY_UNREADABLE`; nothing is left behind
 */
export async function restoreGateway(options: RestoreOptions): Promise<Manifest> {
  const directory = resolve(options.directory);
  await assertEmpty(directory);
  const prefix = `${basename(directory)}.restoring-`;
  const staging = join(dirname(directory), workName(prefix) + randomBytes(6).toString("hex"));
  try {
    await removeAbandoned(dirname(directory), prefix);
    await mkdir(staging, { mode: 0o700 });
    const manifest = await fill(staging, directory, options);
    await rename(staging, directory);
    await syncDirectory(dirname(directory));
    return manifest;
  } catch (cause) {
    throw restoreError(cause, directory);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function fill(staging: string, directory: string, options: RestoreOptions): Promise<Manifest> {
  const { file, keys, now } = options;
  const layout = stateLayout(staging);
  const sealing = options.sealing ?? { kind: "key-file", path: stateLayout(directory).authorityKey };
  const isInside = sealing.kind === "key-file" && dirname(sealing.path) === directory;
  const { key, parameters } = await sealedWith(isInside ? { ...sealing, path: layout.authorityKey } : sealing);
  try {
    const target = { database: layout.database, authority: layout.authority, key };
    const manifest = await unpackBackup(file, keys, target);
    if (parameters !== undefined) await writeSealing(layout.authority, parameters);
    withDatabase(layout.database, (db) => settleRestored(db, now));
    for (const name of ["-wal", "-shm"]) await rm(`${layout.database}${name}`, { force: true });
    await writeGeneration(layout.generation, manifest.facts.generation);
    await syncDirectory(staging);
    return manifest;
  } finally {
    key.key.erase();
  }
}

/** A restore takes the place of nothing: whoever wants another state away moves it away. */
async function assertEmpty(directory: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(directory);
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return;
    throw cause;
  }
  if (names.length === 0) return;
  throw new GatewayError("STATE_NOT_EMPTY", `${directory} is not empty`, { metadata: { path: directory } });
}

function restoreError(cause: unknown, directory: string): unknown {
  if (cause instanceof IdentityError) return authorityError(cause);
  if (cause instanceof GatewayError) return cause;
  const path = dirname(directory);
  switch (errnoOf(cause)) {
    case "ENOENT":
      return new GatewayError("STATE_MISSING", `${directory} cannot be made: ${path} does not exist`, {
        cause,
        metadata: { path },
      });
    case "ENOTEMPTY":
    case "EEXIST":
      return new GatewayError("STATE_NOT_EMPTY", `${directory} is not empty`, { cause, metadata: { path: directory } });
    case "EACCES":
    case "EPERM":
    case "EROFS":
    case "ENOSPC":
    case "ENOTDIR":
      return new GatewayError("STATE_NOT_WRITABLE", `${directory} cannot be made (${errnoOf(cause)})`, {
        cause,
        metadata: { path },
      });
    default:
      return cause;
  }
}
