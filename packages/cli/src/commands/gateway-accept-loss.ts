import type { Behind } from "@quaymesh/gateway";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { withGatewayHints } from "../gateway-hints.ts";
import { requireState } from "../state.ts";
import { confirm } from "../ui/ask.ts";
import { count, printable } from "../ui/format.ts";

interface Options extends CommonOptions {
  readonly yes: boolean;
}

/** `quaymesh gateway restore accept-loss` */
export function acceptLossCommand(context: Context): Command {
  return makeCommand("accept-loss", {
    summary: "go on with a state that is older than what nodes have seen",
    description:
      "Say that what came after this state is lost, and go on without it. The gateway must be stopped. Revocations that are known to have come after it are made again; " +
      "the revocation epoch jumps past those that nodes have seen; the log gets a new name; tasks that must not run twice and were unfinished end as failed, since nobody knows whether they ran.",
    examples: [
      ["quaymesh gateway restore accept-loss", "shows what is known to be lost, and asks"],
      ["quaymesh gateway restore accept-loss --yes --json", "for programs: does not ask"],
    ],
    exits: [4, 30, 31, 33, 34, 36, 39],
    state: "gateway",
  })
    .option("-y, --yes", "do not ask", false)
    .action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { acceptLoss, defaultStateDirectory, knownLoss } = await import("@quaymesh/gateway");
  const { terminal } = context;
  const state = await requireState(options.state ?? defaultStateDirectory(terminal.streams.env), "gateway");
  await withGatewayHints(async () => {
    const loss = await knownLoss(state);
    if (!options.json) for (const line of lossLines(loss)) terminal.note(line);
    if (!options.yes && !(await confirm(context, "Go on without what is lost?", { flag: "--yes" }))) {
      throw new CliError("DECLINED", "nothing was changed");
    }
    const accepted = await acceptLoss(state, { now: context.now() });
    if (options.json) return terminal.json({ ...accepted });
    terminal.done(`the loss is accepted; the revocation epoch is ${accepted.revocationEpoch} now`);
    for (const name of accepted.revokedAgain) terminal.note(`  revoked again: ${printable(name)}`);
    if (accepted.unknownRevocations > 0) {
      terminal.note(
        `  ${accepted.unknownRevocations} revocations more were made that nobody can name: revoke those devices again`,
      );
    }
    for (const id of accepted.tasksEnded) terminal.note(`  ended, since it may have run: task ${id}`);
    terminal.note("Start the gateway, and pair again what was paired since.");
  });
}

/** What is known to be lost, before anybody says that it may be. */
export function lossLines(loss: Behind | undefined): readonly string[] {
  if (loss === undefined) return ["No node has shown yet that it has seen a later state than this one."];
  const { here, seen, revoked, at, device } = loss;
  const events =
    seen.offset > here.offset ? `${count(seen.offset - here.offset)} events at least` : "no event known of";
  const revocations = Math.max(0, seen.revocationEpoch - here.revocationEpoch);
  const unnamed = Math.max(0, revocations - revoked.length);
  return [
    `Nodes have seen a later state of this mesh; the first was ${printable(device)},`,
    `at ${new Date(at).toISOString()}.`,
    `  lost           ${events}, ${revocations} revocation${revocations === 1 ? "" : "s"}`,
    ...revoked.map((id) => `  revoked since  ${id}, will be again`),
    ...(unnamed === 0
      ? []
      : [`  and ${unnamed} more of which nodes do not know whom: revoke those devices again yourself`]),
  ];
}
