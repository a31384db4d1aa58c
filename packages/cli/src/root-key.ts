import { readFile } from "node:fs/promises";
import type { ExportedRootKey } from "@quaymesh/gateway/client";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { askPassphrase, readPassphraseFile } from "./sealing.ts";

/** Options of commands that may need the root's key. */
export interface RootKeyOptions {
  readonly rootKey?: string;
  readonly passphraseFile?: string;
}

/** The exported key a command was given, with its passphrase; nothing where it was given none. @throws {CliError} `FILE_NOT_FOUND`, `INPUT_INVALID`, `USAGE`; {IdentityError} `STORE_PERMISSIONS` */
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
  const passphrase =
    passphraseFile === undefined
      ? await askPassphrase(context, "Passphrase of the root's key: ")
      : await readPassphraseFile(context, passphraseFile);
  return { rootKey: { file, passphrase: passphrase.reveal() } };
}
