import type { SubscriptionInfo } from "@quaymesh/gateway/client";
import { Option, type Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator, expandId } from "../operator.ts";
import { ago, count, printable, shortId } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";
import { table } from "../ui/table.ts";

/** `quaymesh events subscriptions` */
export function eventsSubscriptionsCommand(context: Context): Command {
  return makeCommand("subscriptions", {
    summary: "list the durable subscriptions",
    description:
      "List every durable subscription, the operators' and the devices': where its cursor is, how much waits behind it, and whether it still holds events back from retention. " +
      "One that exceeded its quota has lapsed: its next reader is told what is gone.",
    examples: [
      ["quaymesh events subscriptions", "a table"],
      ["quaymesh events subscriptions --json", "one a line, with filter and quota"],
    ],
    exits: [3, 4, 30],
    state: "gateway",
  }).action((options: CommonOptions) => show(context, options));
}

interface RemoveOptions extends CommonOptions {
  readonly device?: string;
}

/** `quaymesh events unsubscribe NAME` */
export function eventsUnsubscribeCommand(context: Context): Command {
  return makeCommand("unsubscribe <name>", {
    summary: "remove a durable subscription",
    description:
      "Remove a durable subscription with its cursor: nothing is kept for it any more, and whoever reads it is told. It can be made anew, from what the log still holds.",
    examples: [
      ["quaymesh events unsubscribe export", "one of the operators'"],
      ["quaymesh events unsubscribe mirror --device nas", "one that a device made"],
    ],
    exits: [3, 4, 5, 30],
    state: "gateway",
  })
    .addOption(new Option("--device <device>", "one of this device's, by id or name"))
    .action((name: string, options: RemoveOptions) => remove(context, name, options));
}

async function show(context: Context, options: CommonOptions): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const subscriptions = await gateway.subscriptions.list({ signal });
  if (options.json) {
    for (const subscription of subscriptions) {
      const { lapsed, deviceId, ...rest } = withTimes(subscription, ["createdAt", "lastSeenAt"]);
      terminal.json({ ...rest, deviceId: deviceId ?? null, lapsed: lapsed && withTimes(lapsed, ["at"]) });
    }
    return;
  }
  if (subscriptions.length === 0) {
    terminal.note("There is no durable subscription. Make one with:  quaymesh events subscribe NAME");
    return;
  }
  for (const line of subscriptionTable(subscriptions, terminal.columns, context.now())) terminal.result(line);
}

async function remove(context: Context, name: string, options: RemoveOptions): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const ids = async () => (await gateway.devices.list({ signal })).map(({ id }) => id);
  const device = options.device === undefined ? undefined : await expandId(options.device, ids);
  await gateway.subscriptions.remove(name, { signal, ...(device !== undefined && { device }) });
  if (options.json) terminal.json({ removed: name });
  else terminal.done(`removed ${printable(name)}: nothing is kept for it any more`);
}

/** Subscriptions as a table. */
function subscriptionTable(
  subscriptions: readonly SubscriptionInfo[],
  columns: number,
  now: number,
): readonly string[] {
  const head = [
    { heading: "NAME", elastic: true },
    { heading: "OWNER", elastic: true },
    { heading: "STATE" },
    { heading: "CURSOR", right: true },
    { heading: "BEHIND", right: true },
    { heading: "SEEN" },
    { heading: "FILTER", elastic: true },
  ];
  return table(
    head,
    subscriptions.map((subscription) => [
      printable(subscription.name),
      subscription.deviceId === undefined ? "operators" : shortId(subscription.deviceId),
      stateText(subscription),
      String(subscription.acked),
      count(subscription.pending),
      subscription.held ? "now" : ago(subscription.lastSeenAt, now),
      filterText(subscription.filter),
    ]),
    columns,
  );
}

function stateText({ lapsed, held }: SubscriptionInfo): string {
  if (lapsed !== undefined) return `lapsed (${lapsed.by})`;
  return held ? "read" : "waiting";
}

/** A filter in a few words. */
export function filterText({ kinds = [], devices = [], labels = [] }: SubscriptionInfo["filter"]): string {
  const words = [...kinds, ...devices.map(shortId), ...labels.map((label) => `label:${label}`)];
  return words.length === 0 ? "everything" : printable(words.join(" "));
}
