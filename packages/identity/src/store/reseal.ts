/** Sealing a store with another key, so that at any moment it opens with the old key or with the new one, and never with neither. */
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { IdentityError } from "../errors.ts";
import { KeyStore } from "./key-store.ts";
import { isMissing } from "./permissions.ts";
import { SEALING_HEADER_NAME, writeSealing, type PassphraseParameters } from "./sealing-header.ts";
import type { SealingKey } from "./sealing-key.ts";
import { syncDirectory, writeFileAtomic } from "./write-file-atomic.ts";

/** A key, and what it is derived from where that is a passphrase. */
export interface SealedWith {
  readonly key: SealingKey;
  readonly parameters?: PassphraseParameters;
}

/**
 * What resealing does, step by step; the caller runs them in order and sees to it that nobody else has the store open. The new store is made beside the old and takes its place as a whole. A crash
 * between any two steps leaves what {@link settleReseal} makes good.
 * @throws {IdentityError} each step: `STORE_KEY_WRONG`, `STORE_TAMPERED`, `STORE_*`; until the last but two the old store is as it was
 */
export function planReseal(directory: string, from: SealingKey, to: SealedWith): readonly (() => Promise<void>)[] {
  const [next, old] = [nextOf(directory), oldOf(directory)];
  return [
    () => settleReseal(directory),
    () => copyResealed(directory, next, from, to),
    () => moved(directory, old),
    () => moved(next, directory),
    () => rm(old, { recursive: true, force: true }),
  ];
}

/** Finish or undo a resealing that was cut short. Idempotent; call it before the store is opened. */
export async function settleReseal(directory: string): Promise<void> {
  const [next, old] = [nextOf(directory), oldOf(directory)];
  if (!(await exists(directory))) {
    // The old one is moved away only once the new one is whole.
    if (await exists(next)) await moved(next, directory);
    else if (await exists(old)) await moved(old, directory);
  }
  if (!(await exists(directory))) return;
  await rm(next, { recursive: true, force: true });
  await rm(old, { recursive: true, force: true });
}

async function copyResealed(directory: string, next: string, from: SealingKey, to: SealedWith): Promise<void> {
  const source = await KeyStore.open(directory, { key: from });
  const target = await KeyStore.open(next, { key: to.key });
  if (to.parameters !== undefined) await writeSealing(next, to.parameters);
  const sealed = await source.names();
  for (const name of sealed) {
    const secret = await source.get(name);
    try {
      await target.put(name, secret);
      // Read back: the old one is about to go.
      (await target.get(name)).erase();
    } finally {
      secret.erase();
    }
  }
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const isOther = entry.isFile() && entry.name !== SEALING_HEADER_NAME && !/^\.|\.sealed$/u.test(entry.name);
    if (isOther) await writeFileAtomic(join(next, entry.name), await readFile(join(directory, entry.name)));
  }
  // Each write has synced the directory; its own name has to survive as well.
  await syncDirectory(dirname(next));
}

async function moved(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
    await syncDirectory(dirname(to));
  } catch (cause) {
    throw new IdentityError("STORE_WRITE_FAILED", `could not move ${from} to ${to}`, { cause });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (cause) {
    if (isMissing(cause)) return false;
    throw new IdentityError("STORE_READ_FAILED", `could not look at ${path}`, { cause });
  }
}

function nextOf(directory: string): string {
  return `${directory}.next`;
}

function oldOf(directory: string): string {
  return `${directory}.old`;
}
