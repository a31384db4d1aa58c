import type { Command } from "commander";
import type { NodeStatus } from "@quaymesh/node";
import { formatAddress } from "../address.ts";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { defaultNodeState, requireState } from "../state.ts";
import { printFacts } from "../ui/facts.ts";
import { count, printable, span } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";

/** `quaymesh node status` */
export function nodeStatusCommand(context: Context): Command {
  return makeCommand("status", {
    summary: "show who this node is and what it does",
    description:
      "Show this machine's identity, whether its node runs, and how many events wait for the gateway. Asks nobody: reads the state directory.",
    examples: [
      ["quaymesh node status", "of the node in the default state directory"],
      ["quaymesh node status --json", "for programs"],
    ],
    exits: [16, 30, 31],
    state: "node",
  }).action((options: CommonOptions) => run(context, options));
}

async function run(context: Context, options: CommonOptions): Promise<void> {
  const { terminal } = context;
  const state = await requireState(options.state ?? defaultNodeState(terminal.streams.env), "node");
  const { readNodeStatus } = await import("@quaymesh/node");
  const status = await readNodeStatus(state);
  if (options.json) {
    terminal.json(statusJson(status, state));
    return;
  }
  const { identity, reported } = status;
  const rows: readonly (readonly [string, string])[] = [
    ["device", identity.deviceId],
    ["mesh", `${printable(identity.mesh)} (${identity.meshId})`],
    ["gateway", identity.addresses.map(formatAddress).join(", ")],
    ["certificate", certificateText(identity.notAfter - context.now())],
    ["node", nodeText(status, context.now())],
    ["undelivered", reported === undefined ? "-" : `${count(reported.unacknowledged)} events`],
    ...throttledRows(status, context.now()),
  ];
  printFacts(terminal, rows, 13);
}

const THROTTLED: Readonly<Record<string, string>> = {
  rate: "the gateway takes this device's events more slowly than they come",
  quota: "this device holds as much of the gateway's log as it may",
  store: "the gateway has no room for events",
};

/** Only while the gateway takes nothing: what waits is safe here. */
function throttledRows({ isRunning, reported }: NodeStatus, now: number): readonly (readonly [string, string])[] {
  const throttled = reported?.throttled;
  if (!isRunning || throttled === undefined) return [];
  const why = THROTTLED[throttled.reason] ?? `the gateway says: ${printable(throttled.reason)}`;
  const next = throttled.until > now ? `, again in ${span(throttled.until - now)}` : "";
  return [["held back", `${why}${next}`]];
}

/** The status without what is long and of no use to a program: certificates are in the state directory. */
function statusJson({ identity, isRunning, reported, isReportDamaged }: NodeStatus, state: string): object {
  const { deviceId, meshId, mesh, addresses } = identity;
  const times = withTimes(identity, ["notAfter", "renewAfter"]);
  return {
    deviceId,
    meshId,
    mesh,
    state,
    isRunning,
    addresses: addresses.map(formatAddress),
    notAfter: times.notAfter,
    renewAfter: times.renewAfter,
    reported: reported === undefined ? null : withTimes(reported, ["at"]),
    reportDamaged: isReportDamaged,
  };
}

function certificateText(leftMs: number): string {
  return leftMs > 0 ? `good for ${span(leftMs)}` : `expired ${span(-leftMs)} ago`;
}

function nodeText({ isRunning, reported, isReportDamaged }: NodeStatus, now: number): string {
  if (isReportDamaged) {
    return `${isRunning ? "running" : "not running"}; what it last said is damaged (status.json), and replaced with its next change`;
  }
  const error = reported?.error === undefined ? "" : `: ${printable(reported.error.message)}`;
  if (isRunning) {
    const said =
      reported === undefined ? "running" : `${reported.kind} for ${span(now - reported.at)}, process ${reported.pid}`;
    return `${said}${error}`;
  }
  const last = reported === undefined ? "never ran" : `not running for ${span(now - reported.at)}`;
  return `${last}${error}; start it with  quaymesh node run`;
}
