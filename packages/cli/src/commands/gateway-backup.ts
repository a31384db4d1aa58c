import { resolve } from "node:path";
import type { WrittenBackup } from "@quaymesh/gateway";
import type { Command } from "commander";
import { addBackupKeyOptions, backupKeys, newBackupSealing, type BackupKeyFlags } from "../backup-keys.ts";
import { manifestJson, manifestRows } from "../backup-view.ts";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { withGatewayHints } from "../gateway-hints.ts";
import { addSealingOptions, sealingSource, type SealingFlags } from "../sealing.ts";
import { requireState } from "../state.ts";
import { printFacts } from "../ui/facts.ts";
import { size } from "../ui/format.ts";
import { VERSION } from "../version.ts";

interface Options extends CommonOptions, SealingFlags, BackupKeyFlags {
  readonly to?: string;
  readonly force: boolean;
}

/** `quaymesh gateway backup --to FILE`, and `verify` */
export function gatewayBackupCommand(context: Context): Command {
  const command = makeCommand("backup", {
    summary: "back the gateway up into one encrypted file",
    description:
      "Write keys, devices, revocations, tasks and the event log into one file that its own passphrase (or key file) opens, whatever seals the keys here. " +
      "A gateway that runs goes on meanwhile. The file is read back and checked before it gets its name.",
    examples: [
      ["quaymesh gateway backup --to /media/usb/harbor.qmbk", "asks for a passphrase, twice"],
      ["quaymesh gateway backup --to b.qmbk --force --backup-key backup.key", "for cron"],
      ["quaymesh gateway backup verify b.qmbk", "reads all of it, as a restore would"],
    ],
    exits: [3, 4, 30, 31, 33, 35, 36, 42],
    state: "gateway",
  })
    .option("--to <file>", "where it goes")
    .option("--force", "replace a file that is there", false)
    .addCommand(verifyCommand(context));
  return addSealingOptions(addBackupKeyOptions(command)).action((options: Options) => run(context, options));
}

function verifyCommand(context: Context): Command {
  const command = makeCommand("verify <file>", {
    summary: "read all of a backup and check it, as a restore would",
    description:
      "Open a backup and check every byte of it by its seal, the database page by page, and the keys against the certificates. It is unpacked into the directory for temporary files (TMPDIR) for that, and removed.",
    examples: [["quaymesh gateway backup verify harbor.qmbk", "asks for its passphrase"]],
    exits: [5, 31, 34, 35, 36],
    state: "gateway",
  });
  return addBackupKeyOptions(command).action((file: string, options: CommonOptions & BackupKeyFlags) =>
    verify(context, file, options),
  );
}

async function run(context: Context, options: Options): Promise<void> {
  const { terminal } = context;
  if (options.to === undefined) throw new CliError("USAGE", "say where the backup goes", { hint: "--to FILE" });
  const { defaultStateDirectory, writeBackup } = await import("@quaymesh/gateway");
  const state = await requireState(options.state ?? defaultStateDirectory(terminal.streams.env), "gateway");
  const to = resolve(options.to);
  const sealing = await newBackupSealing(context, options);
  const { key } = sealing;
  const written = await withGatewayHints(async () => {
    const stream = await open(context, options, { state, sealing });
    return await writeBackup(to, stream, { key, replace: options.force, state });
  });
  key.key.erase();
  tell(context, options, written);
}

/** From the gateway that runs, or from its state where none does. */
async function open(
  context: Context,
  options: Options,
  from: { readonly state: string; readonly sealing: Awaited<ReturnType<typeof newBackupSealing>> },
): Promise<AsyncIterable<Uint8Array>> {
  const { state, sealing } = from;
  const { backupStopped } = await import("@quaymesh/gateway");
  const { ClientError, connect } = await import("@quaymesh/gateway/client");
  try {
    const gateway = await connect({ state, signal: context.signal });
    return gateway.backup(sealing, { signal: context.signal });
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code !== "GATEWAY_UNREACHABLE") throw cause;
  }
  const source = await sealingSource(context, options, state);
  return backupStopped(state, source, { sealing, now: context.now(), version: VERSION });
}

async function verify(context: Context, file: string, options: CommonOptions & BackupKeyFlags): Promise<void> {
  const { verifyBackup } = await import("@quaymesh/gateway");
  const { terminal } = context;
  const manifest = await withGatewayHints(() => verifyBackup(resolve(file), backupKeys(context, options)));
  if (options.json) return terminal.json({ verified: true, ...manifestJson(manifest) });
  terminal.done("every byte of it is as it was written");
  printFacts(terminal, manifestRows(manifest, context.now()), 12);
}

function tell(context: Context, { json }: Options, { path, bytes, manifest }: WrittenBackup): void {
  const { terminal } = context;
  if (json) return terminal.json({ path, bytes, verified: true, ...manifestJson(manifest) });
  terminal.done(`${path}  ${size(bytes)}, read back and checked`);
  printFacts(terminal, manifestRows(manifest, context.now()), 12);
  terminal.note("Keep it and what opens it apart from this machine.");
  terminal.note("Try it: docs/backup.md, the restore drill.");
}
