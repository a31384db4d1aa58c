import { readFile } from "node:fs/promises";
import type { ExportedRootKey } from "@quaymesh/gateway/client";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { readPassphrase } from "./ui/passphrase.ts";

/** Options of commands that may need the root's key. */
export interface RootKeyOptions {
  readonly rootKey?: string;
  readonly passphraseFile?: string;
}

/** The exported key a command was given, with its passphrase; nothing where it was given none. @throws {CliError} `FILE_NOT_FOUND`, `USAGE` */
export async function givenRootKey(
  context: Context,
  { rootKey, passphraseFile }: RootKeyOptions,
): Promise<{ readonly rootKey?: ExportedRootKey }> {
  if (rootKey === undefined) return {};
  let file: string;
  try {
    file = await readFile(rootKey, "utf8");
  } catch (cause) {
    throw new CliError("FILE_NOT_FOUND", `the root's key cannot be read from ${rootKey}`, { cause });
  }
  const passphrase = await readPassphrase(context, "Passphrase of the root's key", { file: passphraseFile });
  return { rootKey: { file, passphrase } };
}
