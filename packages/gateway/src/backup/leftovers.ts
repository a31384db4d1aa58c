/** What a restore, a backup or a look at one works in, and what is left of it where it was killed: a database in the clear, keys beside what opens them, half a backup. */
import { lstat, readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../daemon/errno.ts";

const DAY_MS = 86_400_000;

/** Where such directories are made, and what their names begin with. */
export interface WorkPlace {
  readonly parent: string;
  readonly prefix: string;
}

/** In a gateway's state directory, where the same lies in the clear anyway: what is left there the next backup and the next start remove. */
export function workInState(directory: string): WorkPlace {
  return { parent: directory, prefix: ".verify-" };
}

/** What the name of such a directory begins with: `prefix`, and whose it is. */
export function workName(prefix: string): string {
  return `${prefix}${process.pid}-`;
}

/**
 * Remove those in `parent` whose process is gone. Only this user's own: in a directory that all may write, others could put something in the way.
 * @throws where `parent` cannot be read
 */
export async function removeAbandoned(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = name.startsWith(prefix) ? /^(\d+)-[0-9A-Za-z]+$/u.exec(name.slice(prefix.length))?.[1] : undefined;
    if (pid === undefined || isAlive(Number(pid))) continue;
    const path = join(parent, name);
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined || found.uid !== process.getuid?.()) continue;
    if (!found.isDirectory() && !found.isFile()) continue;
    await rm(path, { recursive: true, force: true });
  }
}

/**
 * Remove half backups of `file` under the names of versions that did not say whose one is: from a day on nobody can be writing it any more. Only this user's own.
 * @param now Unix milliseconds
 * @throws where its directory cannot be read
 */
export async function removeHalfBackups(file: string, now: number): Promise<void> {
  const parent = dirname(file);
  const prefix = `.${basename(file)}.`;
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix) || !/^[0-9a-f]{12}\.tmp$/u.test(name.slice(prefix.length))) continue;
    const path = join(parent, name);
    const found = await lstat(path).catch(() => undefined);
    const isLeft = found?.isFile() === true && found.uid === process.getuid?.() && found.mtimeMs < now - DAY_MS;
    if (isLeft) await rm(path, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (cause) {
    return errnoOf(cause) !== "ESRCH";
  }
}
