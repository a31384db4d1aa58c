import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, link, open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { IdentityError } from "../errors.ts";

/**
 * Replace a file as a whole: after a crash at any moment, `path` holds the old bytes or the new ones, and once this resolves
 * it holds the new ones. Temporary file, fsync, rename, fsync of the directory.
 * @param options.mode permission bits of the file, whatever the umask; default 0600
 * @param options.replace false: refuse when `path` exists, even if it came to be meanwhile; default true
 * @throws {IdentityError} `STORE_WRITE_FAILED`, `STORE_EXISTS`; nothing is left behind
 */
export async function writeFileAtomic(
  path: string,
  bytes: Uint8Array | string,
  options: { readonly mode?: number; readonly replace?: boolean } = {},
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    await writeSynced(temporary, bytes, options.mode ?? 0o600);
    if (options.replace === false) {
      await link(temporary, path);
      await unlink(temporary);
    } else {
      await rename(temporary, path);
    }
    await syncDirectory(dirname(path));
  } catch (cause) {
    await unlink(temporary).catch(() => {});
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") {
      throw new IdentityError("STORE_EXISTS", `${path} exists already`, { cause });
    }
    throw writeFailure(path, cause);
  }
}

/** Why a file could not be written, with what is to be done about it in the words: room and permission are two things. */
function writeFailure(path: string, cause: unknown): IdentityError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  const why = isFull ? ": there is no room left for it on its disk" : "";
  return new IdentityError("STORE_WRITE_FAILED", `could not write ${path}${why}`, { cause });
}

/** Make renames, creations and removals in `directory` survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeSynced(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    // Exclusive: never through a link that someone else left under this name.
    handle = await open(path, "wx", mode);
    await handle.chmod(mode);
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle?.close();
  }
}
