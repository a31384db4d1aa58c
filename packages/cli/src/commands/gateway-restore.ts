import { resolve } from "node:path";
import type { Command } from "commander";
import { addBackupKeyOptions, backupKeys, type BackupKeyFlags } from "../backup-keys.ts";
import { manifestJson, manifestRows } from "../backup-view.ts";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { withGatewayHints } from "../gateway-hints.ts";
import { addNewSealingOptions, newSealing, type NewSealingFlags } from "../sealing.ts";
import { printFacts } from "../ui/facts.ts";
import { acceptLossCommand } from "./gateway-accept-loss.ts";

interface Options extends CommonOptions, BackupKeyFlags, NewSealingFlags {}

/** `quaymesh gateway restore FILE --state DIR`, and `accept-loss` */
export function gatewayRestoreCommand(context: Context): Command {
  const command = makeCommand("restore [file]", {
    summary: "make a state directory out of a backup",
    description:
      "Check a backup as a whole, then make a state directory of it: one that is not there yet, or is empty. What came after the backup is lost; nodes that have seen it say so, " +
      "and the gateway then serves nobody until a newer backup is restored or the loss is accepted: docs/backup.md.",
    examples: [["quaymesh gateway restore harbor.qmbk --state /var/lib/quaymesh", "asks for the backup's passphrase"]],
    exits: [5, 31, 33, 34, 35, 36, 42],
    state: "gateway",
  }).addCommand(acceptLossCommand(context));
  return addNewSealingOptions(addBackupKeyOptions(command)).action((file: string | undefined, options: Options) =>
    run(context, file, options),
  );
}

async function run(context: Context, file: string | undefined, options: Options): Promise<void> {
  const { terminal } = context;
  if (file === undefined) throw new CliError("USAGE", "name the backup to restore");
  const { defaultStateDirectory, restoreGateway } = await import("@quaymesh/gateway");
  const directory = resolve(options.state ?? defaultStateDirectory(terminal.streams.env));
  const sealing = await newSealing(context, options, directory);
  const manifest = await withGatewayHints(() =>
    restoreGateway({
      file: resolve(file),
      keys: backupKeys(context, options),
      directory,
      ...(sealing && { sealing }),
      now: context.now(),
    }),
  );
  if (options.json) {
    terminal.json({ restored: true, state: directory, ...manifestJson(manifest) });
    return;
  }
  terminal.done(`restored into ${directory}`);
  printFacts(terminal, manifestRows(manifest, context.now()), 12);
  terminal.note("Gone is what came after it: revoke again whom you revoked since,");
  terminal.note("and pair again what was paired since. Pairing windows are closed.");
  terminal.note("Never start the old gateway again. Start this one with:");
  terminal.note(`  quaymesh gateway run${options.state === undefined ? "" : ` --state ${options.state}`}`);
}
