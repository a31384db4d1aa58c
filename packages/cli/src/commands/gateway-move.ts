import type { GatewayMoveInfo } from "@quaymesh/gateway/client";
import { type Command, Option } from "commander";
import { list, makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { printFacts } from "../ui/facts.ts";
import { printable } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";

interface Options extends CommonOptions {
  readonly to?: readonly string[];
  readonly pairing?: readonly string[];
}

/** Names of devices in a line. */
const MAX_NAMES = 6;

/** `quaymesh gateway move --to HOST:PORT` */
export function gatewayMoveCommand(context: Context): Command {
  return makeCommand("move", {
    summary: "tell nodes where the gateway will be, before it moves",
    description:
      "Sign where the gateway will be and tell every node: at once over its session, or with its next one. Nodes look for it there first from then on, and where it was before as long as no session at the new place has succeeded, and for a week after. " +
      "Then stop the gateway, move its state directory to the other machine, and start it there. Without --to: show the last move and who has not heard of it. Undo it by moving back.",
    examples: [
      ["quaymesh gateway move --to new.example.org:7420", "then watch  quaymesh gateway move"],
      ["quaymesh gateway move --to 192.0.2.20:7420,[2001:db8::20]:7420", "several addresses, best first"],
    ],
    exits: [3, 4, 30, 36],
    state: "gateway",
  })
    .addOption(new Option("--to <host:port>", "where nodes will dial it, best first").argParser(list))
    .addOption(
      new Option(
        "--pairing <host:port>",
        "its pairing endpoint (default: those hosts, with the port of now)",
      ).argParser(list),
    )
    .action((options: Options) => run(context, options));
}

async function run(context: Context, { to, pairing, ...options }: Options): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const move =
    to === undefined
      ? await gateway.mesh.lastMove({ signal })
      : await gateway.mesh.move({ addresses: to, ...(pairing && { pairing }) }, { signal });
  if (options.json) return terminal.json(move === undefined ? null : withTimes(move, ["at"]));
  if (move === undefined) return terminal.result("This gateway has never said that it moves.");
  if (to !== undefined)
    terminal.result("✓ signed and told; nodes that are out of reach hear it with their next session");
  printFacts(terminal, moveRows(move), 10);
}

/** Label and value, one row each. */
export function moveRows(move: GatewayMoveInfo): readonly (readonly [string, string])[] {
  const { addresses, pairing, devices, unaware, at } = move;
  const shown = unaware.slice(0, MAX_NAMES).map(printable).join(", ");
  const more = unaware.length > MAX_NAMES ? `, and ${unaware.length - MAX_NAMES} more` : "";
  return [
    ["moves to", addresses.join(", ")],
    ["pairing", pairing.length === 0 ? "-" : pairing.join(", ")],
    ["said", at === undefined ? "-" : new Date(at).toISOString()],
    ["heard by", `${devices - unaware.length} of ${devices} devices`],
    ...(unaware.length === 0 ? [] : [["not yet", `${shown}${more}`] as const]),
  ];
}
