import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator, expandId } from "../operator.ts";

/** `quaymesh pair cancel WINDOW` */
export function pairCancelCommand(context: Context): Command {
  return makeCommand("cancel <window>", {
    summary: "close a pairing window before its time",
    description:
      "Close a window: its codes are worth nothing from then on, who is in it unapproved is denied, and devices that were let in stay. " +
      "It cannot be undone: open another with  quaymesh pair",
    examples: [["quaymesh pair cancel 01JD2Y7Q", "a window of  quaymesh pair list, by the beginning of its id"]],
    exits: [3, 4, 5, 30],
    state: "gateway",
  }).action((window: string, options: CommonOptions) => run(context, window, options));
}

async function run(context: Context, name: string, options: CommonOptions): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const windows = await gateway.pairing.windows({ signal });
  const windowId = await expandId(name, () => Promise.resolve(windows.map((window) => window.windowId)));
  await gateway.pairing.close(windowId, { signal });
  const window = windows.find((each) => each.windowId === windowId);
  const letIn = window === undefined ? 0 : window.uses - window.usesLeft;
  if (options.json) terminal.json({ windowId, closed: window !== undefined, devices: letIn });
  else if (window === undefined) terminal.result(`✓ window ${windowId} was closed already`);
  else
    terminal.result(`✓ window ${windowId} is closed; ${letIn === 1 ? "1 device was" : `${letIn} devices were`} let in`);
}
