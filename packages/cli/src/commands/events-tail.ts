import type { GatewayClient } from "@quaymesh/gateway/client";
import { Option, type Command } from "commander";
import { setTimeout as delay } from "node:timers/promises";
import { list, makeCommand, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { CliError, explain } from "../errors.ts";
import { connectOperator } from "../operator.ts";
import { deviceIds, moment, printEvent } from "./events-print.ts";

interface Options extends CommonOptions {
  readonly after?: number;
  readonly cursor?: string;
  readonly since?: (now: number) => number;
  readonly kind?: readonly string[];
  readonly device?: readonly string[];
  readonly label?: readonly string[];
  readonly limit?: number;
  readonly reconnect: boolean;
}

/** Longest wait between attempts to reach a gateway that went away. */
const MAX_RECONNECT_MS = 2000;
const FIRST_RECONNECT_MS = 50;

/** `quaymesh events tail` */
export function eventsTailCommand(context: Context): Command {
  return makeCommand("tail", {
    summary: "follow the event log",
    description:
      "Print events as the gateway commits them, until Ctrl-C. With --after N it begins with the first event after offset N (0 is the log's beginning), with --since 2h with the first " +
      "that the gateway received then or later, with --cursor where an event's cursor says. When the gateway restarts, it goes on where it was: no event is printed twice or left out.",
    examples: [
      ["quaymesh events tail", "what happens from now on"],
      ["quaymesh events tail --since 2h --label gpu", "of the devices labelled gpu, from two hours ago on"],
      ["quaymesh events tail --after 0 --kind 'sensor.*' --json", "all events of some kinds, one JSON value a line"],
    ],
    exits: [3, 4, 5, 30, 40],
    state: "gateway",
  })
    .addOption(
      new Option("--after <offset>", "begin after this offset").argParser(wholeNumber(0, Number.MAX_SAFE_INTEGER)),
    )
    .option("--cursor <cursor>", "begin behind the event with this cursor")
    .addOption(
      new Option("--since <age>", "begin so long ago, or at this time: 2h, 2026-11-20T10:00:00Z").argParser(moment),
    )
    .addOption(new Option("--kind <kinds>", "only these kinds; a trailing * stands for any ending").argParser(list))
    .addOption(new Option("--device <devices>", "only from these devices, by id or name").argParser(list))
    .addOption(new Option("--label <labels>", "only from devices with one of these labels").argParser(list))
    .addOption(
      new Option("--limit <n>", "stop after so many events").argParser(wholeNumber(1, Number.MAX_SAFE_INTEGER)),
    )
    .option("--no-reconnect", "end when the gateway goes away")
    .action((options: Options) => run(context, options));
}

interface Position {
  after: number | string | undefined;
  logId: string | undefined;
  since: number | undefined;
  printed: number;
}

async function run(context: Context, options: Options): Promise<void> {
  const starts = [options.after, options.cursor, options.since].filter((start) => start !== undefined);
  if (starts.length > 1) throw new CliError("USAGE", "give one of --after, --cursor and --since");
  const position: Position = {
    after: options.after ?? options.cursor ?? (options.since === undefined ? undefined : 0),
    logId: undefined,
    since: options.since?.(context.now()),
    printed: 0,
  };
  for (let waitMs = FIRST_RECONNECT_MS; ;) {
    const before = position.printed;
    try {
      await using gateway = await connectOperator(context, options);
      await follow(context, gateway, position, options);
      return;
    } catch (error) {
      // Ctrl-C is how following ends.
      if (context.signal.aborted) return;
      // Until something was read, the first failure is the answer.
      if (!options.reconnect || position.logId === undefined || explain(error).exit !== 3) throw error;
      if (position.printed > before) waitMs = FIRST_RECONNECT_MS;
      note(context, options, { reconnecting: { after: position.after ?? 0, inMs: waitMs } });
      await delay(waitMs, undefined, { signal: context.signal }).catch(() => undefined);
      if (context.signal.aborted) return;
      waitMs = Math.min(MAX_RECONNECT_MS, waitMs * 2);
    }
  }
}

async function follow(context: Context, gateway: GatewayClient, position: Position, options: Options): Promise<void> {
  const { signal } = context;
  const devices = options.device === undefined ? [] : await deviceIds(gateway, options.device, signal);
  if (position.logId === undefined) {
    const status = await gateway.status({ signal });
    position.logId = status.logId;
    position.after ??= status.lastOffset;
  } else {
    note(context, options, { resumed: { after: position.after ?? 0 } });
  }
  const moved = (offset: number): void => {
    position.after = typeof position.after === "number" ? Math.max(position.after, offset) : offset;
    // From here on the place in the log counts.
    position.since = undefined;
  };
  const subscription = gateway.events({
    after: position.after ?? 0,
    logId: position.logId,
    ...(position.since !== undefined && { since: position.since }),
    filter: { kinds: options.kind ?? [], devices, labels: options.label ?? [] },
    // With a filter, the cursor moves past what is hidden too.
    onCaughtUp: ({ offset }) => moved(offset),
    // This command tells of it.
    reconnect: false,
    signal,
  });
  for await (const event of subscription) {
    printEvent(context, event, options.json);
    moved(event.offset);
    position.printed += 1;
    if (position.printed === options.limit) return;
  }
  signal.throwIfAborted();
}

type Note =
  | { readonly reconnecting: { after: number | string; inMs: number } }
  | { readonly resumed: { after: number | string } };

function note(context: Context, options: Options, what: Note): void {
  if (options.json) context.terminal.note(JSON.stringify(what));
  else if ("resumed" in what) context.terminal.note(`connected again, going on after offset ${what.resumed.after}`);
  else context.terminal.note(`the gateway went away; trying again after offset ${what.reconnecting.after}`);
}
