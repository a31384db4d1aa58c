import type { GatewayStats } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { printFacts } from "../ui/facts.ts";
import { count, fit, printable, size, span } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";

/** `quaymesh gateway stats` */
export function gatewayStatsCommand(context: Context): Command {
  return makeCommand("stats", {
    summary: "show what the gateway counts",
    description:
      "Show the running gateway's counters: connections, datagrams, sessions, tasks, and whom it refused or cut, by reason. " +
      "They begin with its start; the reasons are explained in docs/observability.md. The same numbers are at GET /metrics on the admin socket.",
    examples: [
      ["quaymesh gateway stats", "of the gateway in the default state directory"],
      ["quaymesh gateway stats --json | jq .transport.refused", "for programs"],
    ],
    exits: [3, 4, 30],
    state: "gateway",
  }).action((options: CommonOptions) => run(context, options));
}

async function run(context: Context, options: CommonOptions): Promise<void> {
  const { terminal } = context;
  await using gateway = await connectOperator(context, options);
  const stats = await gateway.stats({ signal: context.signal });
  if (options.json) {
    terminal.json({ ...withTimes(stats, ["startedAt"]), log: withTimes(stats.log, ["oldestAt"]) });
    return;
  }
  printFacts(terminal, statsRows(stats, context.now()), LABEL_COLUMNS);
}

const LABEL_COLUMNS = 13;

type Row = readonly [label: string, value: string];

/** Label and value, one row each; a label of spaces continues the row above. */
export function statsRows(stats: GatewayStats, now: number): readonly Row[] {
  const { transport, sessions, tasks, store } = stats;
  return [
    ["counted for", stats.startedAt === undefined ? "-" : span(now - stats.startedAt)],
    [
      "connections",
      `${count(transport.connections)} held, ${count(transport.halfOpen)} of them half open; ${count(transport.accepted)} accepted`,
    ],
    [
      "sessions",
      `${count(sessions.online)} online; ${count(sessions.opened)} opened, ${count(sessions.superseded)} superseded, ${count(sessions.revoked)} revoked`,
    ],
    ["received", traffic(transport.datagramsReceived, transport.bytesReceived)],
    ["sent", `${traffic(transport.datagramsSent, transport.bytesSent)}; ${count(transport.sendErrors)} not taken`],
    [
      "tasks",
      `${count(tasks.waiting)} waiting, ${count(tasks.placed)} with a node, ${count(tasks.retrying)} to be retried`,
    ],
    ["events", events(stats)],
    ...logRows(stats, now),
    ["store", `${store.state}, ${count(store.queued)} writes queued`],
    ["revocations", `epoch ${stats.revocationEpoch}`],
    ...reasonRows("refused", transport.refused),
    ...reasonRows("cut", transport.cut),
    [
      "held back",
      transport.throttled === 0 ? "nobody" : `${count(transport.throttled)} turns: peers that open streams too fast`,
    ],
  ];
}

const traffic = (datagrams: number, bytes: number): string => `${count(datagrams)} datagrams, ${size(bytes)}`;

const events = ({ firstOffset, lastOffset }: GatewayStats): string =>
  lastOffset === 0 ? "none" : `${count(firstOffset)} to ${count(lastOffset)} in the log`;

/** What the log takes and may take, and whatever keeps it from what it should be. */
function logRows({ log, ingest }: GatewayStats, now: number): readonly Row[] {
  const bounds = [
    ...(log.maxAgeMs > 0 ? [span(log.maxAgeMs)] : []),
    ...(log.maxBytes > 0 ? [size(log.maxBytes)] : []),
    ...(log.maxEvents > 0 ? [`${count(log.maxEvents)} events`] : []),
  ];
  const oldest = log.oldestAt === undefined ? "" : `, back to ${span(now - log.oldestAt)} ago`;
  const rows: Row[] = [
    ["kept", `${size(log.bytes)}${oldest}; bounds ${bounds.length === 0 ? "none" : bounds.join(", ")}`],
    ["on disk", `${size(log.fileBytes)}, ${size(log.freeBytes)} of it free; ${count(log.dropped)} events dropped`],
  ];
  if (log.damaged > 0)
    rows.push(["DAMAGED", `${count(log.damaged)} events are not what was stored: see the gateway's log`]);
  if (log.heldBy.length > 0 || log.lapsed > 0) {
    const first = printable(log.heldBy[0] ?? "nobody");
    rows.push([
      "held by",
      `${fit(first, HELD_COLUMNS)}, ${count(log.heldBy.length)} in all; ${count(log.lapsed)} lapsed`,
    ]);
  }
  if (log.clockBehindMs > CLOCK_WORTH_TELLING_MS)
    rows.push(["retention", `goes by a clock ${span(log.clockBehindMs)} behind, until it has caught up`]);
  if (ingest.throttledRate + ingest.throttledQuota + ingest.waiting > 0) {
    const { throttledRate, throttledQuota, waiting } = ingest;
    rows.push([
      "batches",
      `${count(waiting)} waiting; put off: ${count(throttledRate)} by rate, ${count(throttledQuota)} by quota`,
    ]);
  }
  return rows;
}

const HELD_COLUMNS = 32;
const CLOCK_WORTH_TELLING_MS = 60_000;

/** So many reasons on a line fit 80 columns. */
const REASONS_PER_LINE = 3;
const REASON_COLUMNS = 22;

/** Reasons that came up, the most frequent first. */
function reasonRows(label: string, reasons: Readonly<Record<string, number>>): readonly Row[] {
  const shown = Object.entries(reasons)
    .filter(([, times]) => times > 0)
    .toSorted((one, other) => other[1] - one[1])
    .map(([reason, times]) => `${reason} ${count(times)}`);
  if (shown.length === 0) return [[label, "nobody"]];
  const lines: Row[] = [];
  for (let at = 0; at < shown.length; at += REASONS_PER_LINE) {
    const cells = shown.slice(at, at + REASONS_PER_LINE).map((cell) => cell.padEnd(REASON_COLUMNS));
    lines.push([at === 0 ? label : "", cells.join("").trimEnd()]);
  }
  return lines;
}
