import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator, expandId } from "../operator.ts";
import { printable } from "../ui/format.ts";
import { deviceJson } from "./device-list.ts";

/** `quaymesh device unfreeze DEVICE` */
export function deviceUnfreezeCommand(context: Context): Command {
  return makeCommand("unfreeze <device>", {
    summary: "let a frozen device come back",
    description:
      "A device is frozen when two hold its key, or when an old copy of its state was put back: neither may connect. Unfreeze it once only the right one is left; " +
      "the first that connects is taken for it, and a second one freezes it again. Where the key may be in other hands, revoke it instead, and pair anew.",
    examples: [["quaymesh device unfreeze build-box", "after the copy was removed"]],
    exits: [3, 4, 5, 17, 30],
    state: "gateway",
  }).action((device: string, options: CommonOptions) => run(context, device, options));
}

async function run(context: Context, name: string, options: CommonOptions): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const id = await expandId(name, async () => (await gateway.devices.list({ signal })).map((device) => device.id));
  const device = await gateway.devices.unfreeze(id, { signal });
  if (options.json) terminal.json(deviceJson(device));
  else terminal.result(`✓ ${printable(device.name === "" ? device.id : device.name)} may connect again`);
}
