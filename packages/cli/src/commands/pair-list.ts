import type { PairingRequestInfo, PairingWindowInfo } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { ago, printable, span } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";
import { table } from "../ui/table.ts";
import { holderLines } from "./pair-view.ts";

/** `quaymesh pair list` */
export function pairListCommand(context: Context): Command {
  return makeCommand("list", {
    summary: "list open windows and pairing requests",
    description:
      "List the windows that are open, and who asked to be paired of late, the newest first, with the words that both screens must show.",
    examples: [
      ["quaymesh pair list", "two tables"],
      ["quaymesh pair list --json", "one window or request a line; type says which"],
    ],
    exits: [3, 4, 30],
    state: "gateway",
  }).action((options: CommonOptions) => run(context, options));
}

async function run(context: Context, options: CommonOptions): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const windows = await gateway.pairing.windows({ signal });
  const requests = await gateway.pairing.requests({ signal });
  if (options.json) {
    for (const window of windows) terminal.json({ type: "window", ...withTimes(window, ["openedAt", "expiresAt"]) });
    for (const request of requests) terminal.json({ type: "request", ...requestJson(request) });
    return;
  }
  if (windows.length > 0)
    for (const line of windowTable(windows, terminal.columns, context.now())) terminal.result(line);
  else if (requests.length === 0)
    terminal.note("No window is open, and nobody has asked. Open one with:  quaymesh pair");
  if (requests.length === 0) return;
  if (windows.length > 0) terminal.result("");
  for (const line of requestTable(requests, terminal.columns, context.now())) terminal.result(line);
}

/** Open windows as a table. The id is never cut: it is what  quaymesh pair cancel  takes. */
export function windowTable(windows: readonly PairingWindowInfo[], columns: number, now: number): readonly string[] {
  const head = [
    { heading: "WINDOW" },
    { heading: "FOR", elastic: true },
    { heading: "CODE" },
    { heading: "LEFT" },
    { heading: "CLOSES" },
    { heading: "APPROVAL" },
  ];
  const rows = windows.map((window) => [
    window.windowId,
    printable([window.name, ...window.labels].filter((part) => part !== "").join(" ") || window.purpose || "-"),
    window.codes.join(" "),
    `${window.usesLeft}/${window.uses}`,
    window.expiresAt === undefined ? "-" : span(Math.max(0, window.expiresAt - now)),
    window.preapproved ? "given" : "asked",
  ]);
  return table(head, rows, columns);
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
    const { state, words, holder } = requests[index] ?? { state: "closed", words: [], holder: undefined };
    if (state !== "pending") return [line];
    const known = holder === undefined ? [] : holderLines(holder, columns - 2).map((each) => `  ${each}`);
    return [[line], known, [`  both screens must show:  ${words.map(printable).join("  ")}`]].flat();
  });
  return [heading, ...withWords];
}
