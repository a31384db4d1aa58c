import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { defaultNodeState, requireState } from "../state.ts";
import { confirm } from "../ui/ask.ts";
import { printable } from "../ui/format.ts";

interface Options extends CommonOptions {
  readonly yes: boolean;
}

/** `quaymesh node leave` */
export function nodeLeaveCommand(context: Context): Command {
  return makeCommand("leave", {
    summary: "forget the mesh this machine is paired with",
    description:
      "Remove this node's identity and all it has not delivered, so that it can be paired anew. The gateway is not asked: the device stays in its list until " +
      "an operator revokes it. It cannot be undone; to come back, pair again.",
    examples: [
      ["quaymesh node leave", "asks first"],
      ["quaymesh node leave --yes --state ./node", "for programs"],
    ],
    exits: [16, 30, 33, 36],
    state: "node",
  })
    .option("-y, --yes", "do not ask", false)
    .action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { terminal } = context;
  const state = await requireState(options.state ?? defaultNodeState(terminal.streams.env), "node");
  const { leave, readNodeStatus } = await import("@quaymesh/node");
  const { identity, reported } = await readNodeStatus(state);
  if (!options.yes) {
    const waiting = reported?.unacknowledged ?? 0;
    terminal.note(`This will remove device ${identity.deviceId} of mesh "${printable(identity.mesh)}" from ${state}`);
    if (waiting > 0) terminal.note(`and ${waiting} recorded events that the gateway does not have.`);
    if (!(await confirm(context, "Go on?", { flag: "--yes" }))) throw new CliError("DECLINED", "nothing was changed");
  }
  await leave({ state });
  const revoke = `quaymesh device revoke ${identity.deviceId}`;
  if (options.json) terminal.json({ left: true, deviceId: identity.deviceId, meshId: identity.meshId, state });
  else terminal.result(`✓ left mesh "${printable(identity.mesh)}"; on the gateway, end it with  ${revoke}`);
}
