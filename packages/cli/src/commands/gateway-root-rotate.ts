import type { GatewayClient, MeshRootInfo } from "@quaymesh/gateway/client";
import { Argument, type Command, Option } from "commander";
import { makeCommand, seconds } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { connectOperator } from "../operator.ts";
import { givenRootKey, type RootKeyOptions } from "../root-key.ts";
import { confirm } from "../ui/ask.ts";
import { printFacts } from "../ui/facts.ts";
import { rootJson, rootRows } from "./gateway-root-show.ts";

interface Options extends CommonOptions, RootKeyOptions {
  readonly overlap?: number;
  readonly force: boolean;
  readonly yes: boolean;
}

const STEPS = ["start", "switch", "finish"] as const;
type Step = (typeof STEPS)[number];
const DAY_S = 86_400;

/** `quaymesh gateway root rotate start|switch|finish` */
export function gatewayRootRotateCommand(context: Context): Command {
  return makeCommand("rotate", {
    summary: "have another root take the place of the mesh's root, step by step",
    description:
      "start makes another root and has the old one sign for it; nodes hear of it over their sessions, trust both, and renew below the new one. switch has the gateway's own certificates hang from it, once every device trusts it. " +
      "finish ends the trust in the old one, once nobody hangs from it. A step that would leave devices behind is refused; forced, those follow by themselves through the pairing endpoint when it is open. There is no way back from start but to rotate again.",
    examples: [
      ["quaymesh gateway root rotate start", "then watch  quaymesh gateway root show"],
      ["quaymesh gateway root rotate start --root-key harbor-root.json --overlap 90d", "the key is offline"],
      ["quaymesh gateway root rotate finish --yes", "does not ask"],
    ],
    exits: [3, 4, 5, 26, 30, 36, 38],
    state: "gateway",
  })
    .addArgument(new Argument("<step>", "start, switch or finish").choices(STEPS))
    .addOption(
      new Option("--overlap <time>", "with start: how long nodes trust both (default: 45d)").argParser(
        seconds(0, 3 * 365 * DAY_S),
      ),
    )
    .option("--root-key <file>", "with start: the old root's key, as exported, where it is offline")
    .option("--passphrase-file <file>", "its passphrase, one line; - is standard input (default: asked for)")
    .option("--force", "with switch and finish: though devices are behind", false)
    .option("-y, --yes", "do not ask before finish", false)
    .action((step: Step, options: Options) => run(context, step, options));
}

async function run(context: Context, step: Step, options: Options): Promise<void> {
  const { terminal } = context;
  if (step !== "start" && (options.overlap !== undefined || options.rootKey !== undefined)) {
    throw new CliError("USAGE", "--overlap and --root-key belong to start");
  }
  await using gateway = await connectOperator(context, options);
  const root = await take(context, gateway, step, options);
  if (options.json) return terminal.json(rootJson(root));
  terminal.result(`✓ ${DONE[step]}`);
  printFacts(terminal, rootRows(root, context.now()), 14);
}

const DONE: Readonly<Record<Step, string>> = {
  start: "there is a new root, signed by the old one; both are trusted",
  switch: "the gateway's certificates hang from the new root",
  finish: "the old root is trusted no more, and its key is gone",
};

async function take(context: Context, gateway: GatewayClient, step: Step, options: Options): Promise<MeshRootInfo> {
  const { signal } = context;
  const { force, overlap } = options;
  switch (step) {
    case "start": {
      const given = await givenRootKey(context, options);
      const overlapMs = overlap === undefined ? {} : { overlapMs: overlap * 1000 };
      return await gateway.mesh.startRotation({ ...given, ...overlapMs, signal });
    }
    case "switch":
      return await gateway.mesh.switchRotation({ force, signal });
    case "finish": {
      const question = "The old root will be refused from now on, for good. Go on?";
      if (!options.yes && !(await confirm(context, question, { flag: "--yes" }))) {
        throw new CliError("DECLINED", "nothing was changed");
      }
      return await gateway.mesh.finishRotation({ force, signal });
    }
    default:
      return step satisfies never;
  }
}
