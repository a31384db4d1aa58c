import { join } from "node:path";
import type { OutboxFiles } from "./files.ts";
import { ignoreMissing } from "./segment.ts";

/**
 * An outbox directory has one generation, a directory of its own named 1, 2, …: one numbering of events under one epoch. A new one is made beside the old and
 * counts from the moment its `ready` file is on disk; the first needs none.
 */
const READY_FILE = "ready";
const NAME = /^[1-9]\d{0,8}$/;

/** Where generation `number` is. */
export function generationPath(directory: string, number: number): string {
  return join(directory, String(number));
}

/** The generation that counts; what is left of others is removed. */
export async function settleGenerations(files: OutboxFiles, directory: string): Promise<number> {
  const numbers = (await files.list(directory)).filter((name) => NAME.test(name)).map(Number);
  let current = 1;
  for (const number of numbers.sort((a, b) => a - b)) {
    const names = await files.list(generationPath(directory, number));
    if (names.includes(READY_FILE)) current = number;
  }
  for (const number of numbers) if (number !== current) await removeGeneration(files, directory, number);
  return current;
}

/** From here on `number` is the generation that counts: it is whole and on disk. */
export async function markReady(files: OutboxFiles, directory: string, number: number): Promise<void> {
  const path = generationPath(directory, number);
  await files.syncDirectory(directory);
  const file = await files.open(join(path, READY_FILE), "create");
  await file.sync();
  await file.close();
  await files.syncDirectory(path);
}

/** Remove a generation. Its `ready` file goes last: a half-removed one must not look as if it never counted while an older one is there. */
export async function removeGeneration(files: OutboxFiles, directory: string, number: number): Promise<void> {
  const path = generationPath(directory, number);
  const names = await files.list(path).catch(() => []);
  for (const name of names) if (name !== READY_FILE) await files.remove(join(path, name)).catch(ignoreMissing);
  await files.remove(join(path, READY_FILE)).catch(ignoreMissing);
  await files.removeDirectory(path);
}
