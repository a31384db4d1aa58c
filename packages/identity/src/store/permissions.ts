import { mkdir, stat } from "node:fs/promises";
import { IdentityError } from "../errors.ts";

/** Permission bits of private files. */
export const PRIVATE_FILE_MODE = 0o600;
/** Permission bits of the directories that hold them. */
const PRIVATE_DIRECTORY_MODE = 0o700;

const GROUP_AND_OTHERS = 0o077;

/**
 * Refuse a file or directory that others than its owner can touch.
 * @throws {IdentityError} `STORE_PERMISSIONS`; `STORE_MISSING` when there is none; `STORE_READ_FAILED`
 */
export async function assertPrivate(path: string): Promise<void> {
  let mode: number;
  try {
    mode = (await stat(path)).mode;
  } catch (cause) {
    if (isMissing(cause)) throw new IdentityError("STORE_MISSING", `there is no ${path}`, { cause });
    throw new IdentityError("STORE_READ_FAILED", `could not look at ${path}`, { cause });
  }
  if ((mode & GROUP_AND_OTHERS) === 0) return;
  const seen = (mode & 0o777).toString(8).padStart(4, "0");
  throw new IdentityError("STORE_PERMISSIONS", `${path} has mode ${seen}: others can reach it. Run: chmod go= ${path}`);
}

/**
 * Make a directory for the owner alone, with its parents; one that exists must be private already.
 * @throws {IdentityError} `STORE_PERMISSIONS`, `STORE_WRITE_FAILED`
 */
export async function makePrivateDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  } catch (cause) {
    throw new IdentityError("STORE_WRITE_FAILED", `could not make ${path}`, { cause });
  }
  await assertPrivate(path);
}

/** Whether a file system error says that there is no such file. */
export function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}
