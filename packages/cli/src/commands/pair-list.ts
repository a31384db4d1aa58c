import type { PairingRequestInfo } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { ago, printable } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";
import { table } from "../ui/table.ts";

/** `quaymesh pair list` */
export function pairListCommand(context: Context): Command {
  return makeCommand("list", {
    summary: "list pairing requests",
    description: "List who asked to be paired of late, the newest first, with the words that both screens must show.",
    examples: [
      ["quaymesh pair list", "a table"],
      ["quaymesh pair list --json", "one request a line"],
    ],
    exits: [3, 4, 30],
    state: "gateway",
  }).action((options: CommonOptions) => run(context, options));
}

async function run(context: Context, options: CommonOptions): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const requests = await gateway.pairing.requests({ signal });
  if (options.json) {
    for (const request of requests) terminal.json(requestJson(request));
    return;
  }
  if (requests.length === 0) {
    terminal.note("Nobody has asked. Open a window with:  quaymesh pair");
    return;
  }
  for (const line of requestTable(requests, terminal.columns, context.now())) terminal.result(line);
}

/** A request as `--json` prints it. */
export function requestJson(request: PairingRequestInfo): object {
  return withTimes(request, ["requestedAt", "certificateNotAfter"]);
}

/** Requests as a table, the words of those that wait below them: neither they nor the id are ever cut. */
export function requestTable(requests: readonly PairingRequestInfo[], columns: number, now: number): readonly string[] {
  const head = [
    { heading: "REQUEST" },
    { heading: "NAME", elastic: true },
    { heading: "STATE" },
    { heading: "FROM", elastic: true },
    { heading: "SINCE" },
  ];
  const rows = requests.map((request) => [
    request.requestId,
    printable(request.name),
    request.state,
    request.remoteAddress,
    ago(request.requestedAt, now),
  ]);
  const [heading = "", ...lines] = table(head, rows, columns);
  const withWords = lines.flatMap((line, index) => {
    const { state, words } = requests[index] ?? { state: "closed", words: [] };
    return state === "pending" ? [line, `  both screens must show:  ${words.map(printable).join("  ")}`] : [line];
  });
  return [heading, ...withWords];
}
