import type { GatewayClient, PairingRequestInfo } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator, expandId } from "../operator.ts";
import { printable } from "../ui/format.ts";
import { requestJson } from "./pair-list.ts";

/** `quaymesh pair approve REQUEST` */
export function pairApproveCommand(context: Context): Command {
  return makeCommand("approve <request>", {
    summary: "let a device in",
    description:
      "Approve a pairing request, named by its id: there is no way to approve whoever came last. Compare the words with the device's screen first, and see in  quaymesh pair list  whether its key is that of a known or frozen device. " +
      "Undo it with:  quaymesh device revoke",
    examples: [["quaymesh pair approve 01JD2Y7Q", "after comparing the words of  quaymesh pair list"]],
    exits: [3, 4, 5, 30],
    state: "gateway",
  }).action((request: string, options: CommonOptions) =>
    decide(context, request, options, (gateway, id) => gateway.pairing.approve(id, { signal: context.signal })),
  );
}

/** `quaymesh pair deny REQUEST` */
export function pairDenyCommand(context: Context): Command {
  return makeCommand("deny <request>", {
    summary: "keep a device out",
    description: "Deny a pairing request, named by its id. The device is told so; it may ask again with a new code.",
    examples: [["quaymesh pair deny 01JD2Y7Q", "the words differ, or nobody knows that device"]],
    exits: [3, 4, 5, 30],
    state: "gateway",
  }).action((request: string, options: CommonOptions) =>
    decide(context, request, options, (gateway, id) => gateway.pairing.deny(id, { signal: context.signal })),
  );
}

async function decide(
  context: Context,
  name: string,
  options: CommonOptions,
  act: (gateway: GatewayClient, id: string) => Promise<PairingRequestInfo>,
): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const ids = async (): Promise<readonly string[]> =>
    (await gateway.pairing.requests({ signal })).map((request) => request.requestId);
  const request = await act(gateway, await expandId(name, ids));
  if (options.json) terminal.json(requestJson(request));
  else terminal.result(decidedLine(request));
}

function decidedLine({ name, state, holder, deviceId }: PairingRequestInfo): string {
  if (state === "denied") return `✓ ${printable(name)} is denied`;
  const again = holder?.deviceId === deviceId ? `; it is ${printable(holder.name)} (${deviceId}) again` : "";
  return `✓ ${printable(name)} is approved${again}`;
}
