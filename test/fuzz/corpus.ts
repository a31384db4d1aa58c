/** The kept corpus: one small file per input, named for what it is kept for and its hash. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** Longer inputs are not kept for what they reach; a finding always is. */
export const MAX_KEPT_BYTES = 8192;

/** A kept input. */
export interface KeptInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What is kept for `target`, in the order of names; nothing where nothing is kept. */
export async function readCorpus(corpus: URL, target: string): Promise<KeptInput[]> {
  const directory = directoryOf(corpus, target);
  const names = await readdir(directory).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  names.sort((a, b) => (a < b ? -1 : 1));
  const inputs = names.map(async (name) => ({ name, bytes: await readFile(new URL(name, directory)) }));
  return Promise.all(inputs);
}

/** Keep an input. @param label what for: lower-case words with dashes @returns the file's path */
export async function keep(corpus: URL, target: string, label: string, bytes: Uint8Array): Promise<string> {
  const directory = directoryOf(corpus, target);
  await mkdir(directory, { recursive: true });
  const file = new URL(nameOf(label, bytes), directory);
  await writeFile(file, bytes);
  return fileURLToPath(file);
}

/** The name an input has in the corpus. */
function nameOf(label: string, bytes: Uint8Array): string {
  return `${label}-${createHash("sha256").update(bytes).digest("hex").slice(0, 10)}.bin`;
}

const directoryOf = (corpus: URL, target: string): URL => new URL(`${target}/`, corpus);
