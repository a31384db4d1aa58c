import type { DeviceInfo, GatewayClient, RotationResult } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { connectOperator, expandId } from "../operator.ts";
import { printable } from "../ui/format.ts";

interface Options extends CommonOptions {
  readonly all: boolean;
  readonly label?: string;
}

/** Devices asked at once. */
const AT_ONCE = 16;

/** `quaymesh device rotate DEVICE | --all | --label LABEL` */
export function deviceRotateCommand(context: Context): Command {
  return makeCommand("rotate [device]", {
    summary: "have devices take new certificates, now",
    description:
      "Have a device, or many, renew its certificate over its session and begin a new one with it; the old certificate is refused from then on. " +
      "The key stays. A device that is out of reach is asked when it connects. What is rotated cannot be turned back; nothing is lost by it.",
    examples: [
      ["quaymesh device rotate build-box", "waits for it, 15 s at most"],
      ["quaymesh device rotate --all --json", "one line a device, as they answer"],
    ],
    exits: [3, 4, 5, 17, 30],
    state: "gateway",
  })
    .option("--all", "every device that is not revoked", false)
    .option("--label <label>", "every device with this label")
    .action((device: string | undefined, options: Options) => run(context, device, options));
}

async function run(context: Context, name: string | undefined, options: Options): Promise<void> {
  const chosen = [name !== undefined, options.all, options.label !== undefined].filter(Boolean).length;
  if (chosen !== 1) throw new CliError("USAGE", "give a device, --all or --label, one of them");
  await using gateway = await connectOperator(context, options);
  const waiting = [...(await devicesOf(context, gateway, name, options))];
  if (waiting.length === 0 && !options.json) context.terminal.note("No device is meant by that; nothing was changed.");
  const work = async (): Promise<void> => {
    for (let device = waiting.shift(); device !== undefined; device = waiting.shift()) {
      const result = await gateway.devices.rotate(device.id, { signal: context.signal });
      if (options.json) context.terminal.json({ device: device.id, name: device.name, ...result });
      else context.terminal.result(rotationLine(device, result));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function devicesOf(
  { signal }: Context,
  gateway: GatewayClient,
  name: string | undefined,
  { label }: Options,
): Promise<readonly DeviceInfo[]> {
  const list = async (): Promise<readonly DeviceInfo[]> => await gateway.devices.list({ signal });
  if (name !== undefined) {
    const id = await expandId(name, async () => (await list()).map((device) => device.id));
    return [await gateway.devices.get(id, { signal })];
  }
  const living = (await list()).filter(({ state }) => state !== "revoked");
  return label === undefined ? living : living.filter(({ labels }) => labels.includes(label));
}

/** What came of it, for people. */
export function rotationLine(device: Pick<DeviceInfo, "id" | "name">, result: RotationResult): string {
  const name = printable(device.name === "" ? device.id : device.name);
  switch (result.state) {
    case "rotated":
      return `✓ ${name} uses a new certificate; its old ones are refused`;
    case "pending-offline":
      return `… ${name} is out of reach: pending, it renews when it connects`;
    case "pending-silent":
      return `… ${name} has not answered in time: pending, it is asked again with its next session`;
    default:
      return result.state satisfies never;
  }
}
