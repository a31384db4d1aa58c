/** What seals and opens backups, as a command line says it. It is the backup's own: whoever has the backup and this needs nothing else. */
import { resolve } from "node:path";
import type { BackupKeys } from "@quaymesh/gateway";
import type { SealedWith } from "@quaymesh/identity";
import { Option, type Command } from "commander";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { askPassphrase, newPassphrase, readPassphraseFile } from "./sealing.ts";

/** Flags of {@link addBackupKeyOptions}. */
export interface BackupKeyFlags {
  readonly backupKey?: string;
  readonly backupPassphraseFile?: string;
}

/** The flags that say what seals or opens a backup. */
export function addBackupKeyOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--backup-passphrase-file <file>",
        "passphrase of the backup, 0600; - is standard input (default: asked for)",
      ),
    )
    .addOption(
      new Option("--backup-key <file>", "a key file instead of a passphrase").conflicts("backupPassphraseFile"),
    );
}

/** What is to seal a new backup. A key file that is not there is made. @throws {CliError} `INPUT_INVALID`, `USAGE`; {IdentityError} `STORE_*` */
export async function newBackupSealing(context: Context, flags: BackupKeyFlags): Promise<SealedWith> {
  const { createKeyFile, deriveSealingKey, IdentityError, newPassphraseParameters, readKeyFile } =
    await import("@quaymesh/identity");
  if (flags.backupKey === undefined) {
    const passphrase = await newPassphrase(context, flags.backupPassphraseFile);
    const parameters = newPassphraseParameters();
    return { key: await deriveSealingKey(passphrase, parameters), parameters };
  }
  const path = resolve(flags.backupKey);
  try {
    return { key: await createKeyFile(path) };
  } catch (cause) {
    if (cause instanceof IdentityError && cause.code === "STORE_EXISTS") return { key: await readKeyFile(path) };
    throw cause;
  }
}

/** What opens a backup: asked for once its header has said what that is. */
export function backupKeys(context: Context, flags: BackupKeyFlags): BackupKeys {
  return async (sealing) => {
    const { deriveSealingKey, readKeyFile } = await import("@quaymesh/identity");
    if (sealing.kind === "key") {
      if (flags.backupKey !== undefined) return await readKeyFile(resolve(flags.backupKey));
      throw new CliError("USAGE", "this backup opens with a key file", { hint: "Name it with --backup-key FILE." });
    }
    const { backupPassphraseFile: file } = flags;
    if (file !== undefined) return await deriveSealingKey(await readPassphraseFile(context, file), sealing.parameters);
    if (context.terminal.interactive) {
      return await deriveSealingKey(await askPassphrase(context, "Passphrase of the backup: "), sealing.parameters);
    }
    throw new CliError("USAGE", "this backup opens with a passphrase, and nobody is at this terminal to ask", {
      hint: "Name a file that holds it with --backup-passphrase-file FILE.",
    });
  };
}
