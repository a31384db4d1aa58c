import type { NewSealing } from "@quaymesh/gateway";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { withGatewayHints } from "../gateway-hints.ts";
import {
  addNewSealingOptions,
  addSealingOptions,
  newSealing,
  sealingSource,
  type NewSealingFlags,
  type SealingFlags,
} from "../sealing.ts";
import { requireState } from "../state.ts";

interface Options extends CommonOptions, SealingFlags, NewSealingFlags {}

/** `quaymesh gateway reseal` */
export function gatewayResealCommand(context: Context): Command {
  const command = makeCommand("reseal", {
    summary: "seal the mesh's keys with something else",
    description:
      "Seal the keys of a stopped gateway with a passphrase or another key file. However it is cut short, the keys open with what sealed them before or with what does afterwards. " +
      "To seal them with a systemd credential, reseal to a key file, load that file as the credential quaymesh-sealing-key, and remove it: docs/systemd.md.",
    examples: [
      ["quaymesh gateway reseal --to-passphrase", "asks for it; each start of the gateway then needs it"],
      [
        "quaymesh gateway reseal --to-key /media/usb/quaymesh.key",
        "made if it is not there; then run with --sealing-key",
      ],
      ["quaymesh gateway reseal --to-key", "back to a key file in the state directory"],
    ],
    exits: [4, 30, 31, 33, 35, 36],
    state: "gateway",
  });
  return addNewSealingOptions(addSealingOptions(command)).action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { defaultStateDirectory, resealGateway } = await import("@quaymesh/gateway");
  const { terminal } = context;
  const state = await requireState(options.state ?? defaultStateDirectory(terminal.streams.env), "gateway");
  const from = await sealingSource(context, options, state);
  const to = await newSealing(context, options, state);
  if (to === undefined) throw new CliError("USAGE", "give --to-key, --to-passphrase or --to-passphrase-file");
  await withGatewayHints(() => resealGateway(state, from, to));
  const told = tell(to);
  if (options.json) terminal.json({ resealed: true, with: to.kind, ...(to.kind === "key-file" && { key: to.path }) });
  else terminal.done(told);
}

function tell(to: NewSealing): string {
  switch (to.kind) {
    case "passphrase":
      return "the keys are sealed with the passphrase. Each start asks for it; older copies open as before";
    case "key-file":
      return `the keys are sealed with ${to.path}. Keep a copy of it apart from the state`;
    case "key":
      return "the keys are sealed with the key";
    default:
      return to satisfies never;
  }
}
