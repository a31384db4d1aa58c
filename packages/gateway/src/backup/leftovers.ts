/** Directories that a restore or a look at a backup works in, and what is left of them where it was killed: a database in the clear, keys beside what opens them. */
import { lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../daemon/errno.ts";

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
    if (found?.isDirectory() !== true || found.uid !== process.getuid?.()) continue;
    await rm(path, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (cause) {
    return errnoOf(cause) !== "ESRCH";
  }
}
