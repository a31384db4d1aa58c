import type { DeviceInfo } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { ago, printable, span } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";
import { table } from "../ui/table.ts";

/** `quaymesh device list` */
export function deviceListCommand(context: Context): Command {
  return makeCommand("list", {
    summary: "list the paired devices",
    description: "List every device this mesh has paired, revoked ones too, and whether it is online now.",
    examples: [
      ["quaymesh device list", "a table"],
      ["quaymesh device list --json", "one device a line, with every fact"],
    ],
    exits: [3, 4, 30],
    state: "gateway",
  }).action((options: CommonOptions) => run(context, options));
}

async function run(context: Context, options: CommonOptions): Promise<void> {
  const { terminal } = context;
  await using gateway = await connectOperator(context, options);
  const devices = await gateway.devices.list({ signal: context.signal });
  if (options.json) {
    for (const device of devices) terminal.json(deviceJson(device));
    return;
  }
  if (devices.length === 0) {
    terminal.note("No device is paired yet. Pair one with:  quaymesh pair");
    return;
  }
  for (const line of deviceTable(devices, terminal.columns, context.now())) terminal.result(line);
}

/** A device as `--json` prints it. */
export function deviceJson(device: DeviceInfo): object {
  const revocation = device.revocation && withTimes(device.revocation, ["revokedAt"]);
  return { ...withTimes(device, ["pairedAt", "lastSeenAt", "certificateNotAfter"]), revocation: revocation ?? null };
}

/** The fleet as a table. */
export function deviceTable(devices: readonly DeviceInfo[], columns: number, now: number): readonly string[] {
  const head = [
    { heading: "NAME", elastic: true },
    { heading: "STATE", elastic: true },
    { heading: "SEEN" },
    { heading: "LABELS", elastic: true },
    { heading: "TASKS" },
    { heading: "CERTIFICATE", elastic: true },
  ];
  return table(
    head,
    devices.map((device) => [
      printable(device.name === "" ? device.id : device.name),
      stateText(device),
      device.state === "online" ? "now" : ago(device.lastSeenAt, now),
      printable(device.labels.join(",")),
      device.state === "revoked" ? "-" : `${device.runningTasks}/${device.taskSlots}`,
      certificateText(device, now),
    ]),
    columns,
  );
}

/** The state in a word or three. */
export function stateText(device: DeviceInfo): string {
  const revokedAt = device.revocation?.revokedAt;
  if (device.state !== "revoked" || revokedAt === undefined) return device.state;
  return `revoked ${new Date(revokedAt).toLocaleDateString("en-GB", { day: "numeric", month: "short" })}`;
}

/** How long the certificate is good for. */
export function certificateText(device: DeviceInfo, now: number): string {
  if (device.state === "revoked" || device.certificateNotAfter === undefined) return "-";
  if (device.rotationRequestedAt !== undefined) return "renews when it connects";
  const left = device.certificateNotAfter - now;
  return left > 0 ? span(left) : "expired; renews when it returns";
}
