import type { DeviceInfo } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator, expandId } from "../operator.ts";
import { printFacts } from "../ui/facts.ts";
import { ago, count, printable, shortFingerprint } from "../ui/format.ts";
import { certificateText, deviceJson, stateText } from "./device-list.ts";

/** `quaymesh device show DEVICE` */
export function deviceShowCommand(context: Context): Command {
  return makeCommand("show <device>", {
    summary: "show one device",
    description:
      "Show everything the gateway knows of a device, named by its id, a unique beginning of it, or its name.",
    examples: [
      ["quaymesh device show build-box", "by name"],
      ["quaymesh device show 01JD --json", "by the beginning of its id"],
    ],
    exits: [3, 4, 5, 30],
    state: "gateway",
  }).action((device: string, options: CommonOptions) => run(context, device, options));
}

async function run(context: Context, name: string, options: CommonOptions): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const id = await expandId(name, async () => (await gateway.devices.list({ signal })).map((device) => device.id));
  const device = await gateway.devices.get(id, { signal });
  if (options.json) {
    terminal.json(deviceJson(device));
    return;
  }
  const facts = rows(device, context.now()).map(([label, value]) => [label, printable(value)] as const);
  printFacts(terminal, facts, 13);
}

function rows(device: DeviceInfo, now: number): readonly (readonly [string, string])[] {
  const { revocation } = device;
  const end =
    revocation === undefined
      ? []
      : ([
          ["revoked", `epoch ${revocation.revocationEpoch}, receipt ${revocation.receiptId}`],
          ["reason", revocation.reason === "" ? "-" : revocation.reason],
        ] as const);
  return [
    ["device", device.id],
    ["name", device.name],
    ["state", stateText(device)],
    ["seen", device.state === "online" ? `now, from ${device.remoteAddress}` : ago(device.lastSeenAt, now)],
    ["paired", device.pairedAt === undefined ? "-" : new Date(device.pairedAt).toISOString()],
    ["labels", device.labels.length === 0 ? "-" : device.labels.join(", ")],
    ["purpose", device.purpose === "" ? "-" : device.purpose],
    ["platform", `${device.platform}, ${device.software === "" ? "never online" : device.software}`],
    ["offers", device.capabilities.length === 0 ? "-" : device.capabilities.join(", ")],
    ["tasks", `${device.runningTasks} of ${device.taskSlots} running`],
    ["events", `${count(device.lastSeq)} in this outbox`],
    ["certificate", certificateText(device, now)],
    ...(device.rotationRequestedAt === undefined
      ? []
      : ([["rotation", `asked for ${ago(device.rotationRequestedAt, now)} ago, pending`]] as const)),
    ["key", shortFingerprint(device.keyFingerprint)],
    ...end,
  ];
}
