/** A backup on disk: whole and checked before it has its name. */
import { randomBytes } from "node:crypto";
import { link, open, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { syncDirectory, type SealingKey } from "@quaymesh/identity";
import { systemClock } from "../clock.ts";
import { errnoOf } from "../daemon/errno.ts";
import { GatewayError } from "../errors.ts";
import type { Manifest } from "./archive.ts";
import { removeAbandoned, removeHalfBackups, workInState, workName } from "./leftovers.ts";
import { verifyBackup } from "./unpack.ts";

/** Options of {@link writeBackup}. */
export interface WriteBackup {
  /** What the stream is sealed with: it is read back with it. */
  readonly key: SealingKey;
  /** Take the place of a file that is there. Default: it is refused. */
  readonly replace: boolean;
  /** The gateway's state directory: the backup is read back in it, so that what is in it lies in the clear nowhere else. */
  readonly state: string;
}

/** A backup as written. */
export interface WrittenBackup {
  readonly path: string;
  readonly bytes: number;
  readonly manifest: Manifest;
}

/**
 * Write a backup to `file`, 0600, and read all of it back before it gets that name: what has the name is a backup that opens.
 * @throws {GatewayError} `BACKUP_EXISTS`, `BACKUP_DAMAGED`, `BACKUP_NOT_WRITTEN`; what the stream throws. Nothing is left behind
 */
export async function writeBackup(
  file: string,
  stream: AsyncIterable<Uint8Array>,
  options: WriteBackup,
): Promise<WrittenBackup> {
  const path = resolve(file);
  const { key, replace, state } = options;
  if (!replace && (await exists(path))) throw backupExists(path);
  const prefix = `.${basename(path)}.tmp-`;
  const temporary = join(dirname(path), workName(prefix) + randomBytes(6).toString("hex"));
  await removeAbandoned(dirname(path), prefix).catch(() => {});
  await removeHalfBackups(path, systemClock.now()).catch(() => {});
  try {
    const bytes = await writeAll(temporary, stream);
    const manifest = await verifyBackup(temporary, () => Promise.resolve(key), workInState(state));
    if (replace) await rename(temporary, path);
    else {
      await link(temporary, path);
      await unlink(temporary);
    }
    await syncDirectory(dirname(path));
    return { path, bytes, manifest };
  } catch (cause) {
    await unlink(temporary).catch(() => {});
    throw writeError(cause, path);
  }
}

async function writeAll(path: string, stream: AsyncIterable<Uint8Array>): Promise<number> {
  const handle = await open(path, "wx", 0o600);
  let bytes = 0;
  try {
    for await (const piece of stream) {
      await handle.writeFile(piece);
      bytes += piece.length;
    }
    await handle.sync();
    return bytes;
  } finally {
    await handle.close();
  }
}

function writeError(cause: unknown, path: string): unknown {
  const code = errnoOf(cause);
  if (code === "EEXIST") return backupExists(path, cause);
  const isOurs = cause instanceof GatewayError || code === undefined || !/^E[A-Z]+$/u.test(code);
  return isOurs ? cause : new GatewayError("BACKUP_NOT_WRITTEN", notWritten(path, code), { cause, metadata: { path } });
}

function notWritten(path: string, code: string): string {
  return code === "ENOSPC" ? `there is no room for ${path}: the disk is full` : `${path} cannot be written (${code})`;
}

function backupExists(path: string, cause?: unknown): GatewayError {
  return new GatewayError("BACKUP_EXISTS", `${path} exists already`, { cause, metadata: { path } });
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
