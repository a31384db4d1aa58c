import { execFile } from "node:child_process";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { SentFile } from "./digest.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
/** Not of this repository, or made from it. */
const SKIPPED: ReadonlySet<string> = new Set([".git", "node_modules", "dist"]);
const MAX_LISTING_BYTES = 64 * 1024 * 1024;

/** Every file of this repository with its content: what git tracks, or where there is no git, what lies there. Sorted by path. */
export async function repositoryFiles(): Promise<readonly SentFile[]> {
  const paths = (await tracked()) ?? (await walked(ROOT));
  const files: SentFile[] = [];
  for (const path of [...paths].sort()) {
    const full = join(ROOT, path);
    // Tracked but removed since, or a link to somewhere else: not a file of this repository now.
    const found = await lstat(full).catch(() => undefined);
    if (found?.isFile() === true) files.push({ path, content: new Uint8Array(await readFile(full)) });
  }
  return files;
}

async function tracked(): Promise<readonly string[] | undefined> {
  try {
    const { stdout } = await promisify(execFile)("git", ["ls-files", "-z"], {
      cwd: ROOT,
      maxBuffer: MAX_LISTING_BYTES,
    });
    const paths = stdout.split("\0").filter((path) => path !== "");
    return paths.length === 0 ? undefined : paths;
  } catch {
    return undefined;
  }
}

async function walked(directory: string): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (SKIPPED.has(entry.name)) continue;
    const full = join(directory, entry.name);
    if (entry.isDirectory()) paths.push(...(await walked(full)));
    else if (entry.isFile()) paths.push(relative(ROOT, full));
  }
  return paths;
}
