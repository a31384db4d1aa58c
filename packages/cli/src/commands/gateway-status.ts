import type { GatewayStatus } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { printFacts } from "../ui/facts.ts";
import { count, shortFingerprint, span } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";
import { renewAdvice } from "./gateway-root-show.ts";

/** `quaymesh gateway status` */
export function gatewayStatusCommand(context: Context): Command {
  return makeCommand("status", {
    summary: "show what the gateway is and does",
    description: "Show the running gateway: its mesh, where nodes dial, who is connected, what it refused.",
    examples: [
      ["quaymesh gateway status", "of the gateway in the default state directory"],
      ["quaymesh gateway status --json | jq .online", "for programs"],
    ],
    exits: [3, 4, 30],
    state: "gateway",
  }).action((options: CommonOptions) => run(context, options));
}

async function run(context: Context, options: CommonOptions): Promise<void> {
  const { terminal } = context;
  await using gateway = await connectOperator(context, options);
  const status = await gateway.status({ signal: context.signal });
  if (options.json) {
    terminal.json(withTimes(status, ["startedAt"]));
    return;
  }
  const advice = renewAdvice(await gateway.mesh.root({ signal: context.signal }), context.now());
  const rows = [...statusRows(status, context.now()), ...advice.map((text) => ["issuing", text] as const)];
  printFacts(terminal, rows, 12);
  if (status.behind === undefined) return;
  const { deviceId, offset, seenOffset, revocationEpoch, seenRevocationEpoch, revoked } = status.behind;
  terminal.note(`✗ This state is older than what ${deviceId} has seen, so nobody is served.`);
  terminal.note(
    `  seen  log offset ${count(seenOffset)} (here ${count(offset)}), revocation epoch ${seenRevocationEpoch} (here ${revocationEpoch})`,
  );
  if (revoked.length > 0) terminal.note(`  revoked since  ${revoked.join(", ")}`);
  terminal.note("  Restore a newer backup; or stop the gateway and run");
  terminal.note("  quaymesh gateway restore accept-loss                     (STORE_BEHIND)");
}

/** Label and value, one row each. */
function statusRows(status: GatewayStatus, now: number): readonly (readonly [string, string])[] {
  const refused = Object.entries(status.refused).filter(([, times]) => times > 0);
  return [
    ["mesh", status.meshName === "" ? status.meshId : `${status.meshName} (${status.meshId})`],
    ["version", status.version],
    ["running for", status.startedAt === undefined ? "-" : span(now - status.startedAt)],
    ["nodes dial", status.meshAddresses.join(", ")],
    ["root", shortFingerprint(status.rootFingerprint)],
    ["devices", `${status.devices}, ${status.online} online, ${status.connections} connections`],
    ["events", `${count(status.lastOffset)} so far`],
    ["revocations", `epoch ${status.revocationEpoch}`],
    ["pairing", status.pairingOpen ? "a window is open" : "closed"],
    ["refused", refused.length === 0 ? "nobody" : refused.map(([why, times]) => `${why} ${times}`).join(", ")],
  ];
}
