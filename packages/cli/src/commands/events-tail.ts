import type { EventRecord, GatewayClient } from "@quaymesh/gateway/client";
import { Option, type Command } from "commander";
import { setTimeout as delay } from "node:timers/promises";
import { list, makeCommand, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { explain } from "../errors.ts";
import { connectOperator, expandId } from "../operator.ts";
import { fit, printable, shortId } from "../ui/format.ts";
import { toJson } from "../ui/json.ts";

interface Options extends CommonOptions {
  readonly after?: number;
  readonly kind?: readonly string[];
  readonly device?: readonly string[];
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
      "Print events as the gateway commits them, until Ctrl-C. With --after N it begins with the first event after offset N; 0 is the log's beginning. " +
      "When the gateway restarts, it goes on where it was: no event is printed twice or left out.",
    examples: [
      ["quaymesh events tail", "what happens from now on"],
      ["quaymesh events tail --after 0 --kind 'sensor.*' --json", "all events of some kinds, one JSON value a line"],
    ],
    exits: [3, 4, 5, 30, 40],
    state: "gateway",
  })
    .addOption(
      new Option("--after <offset>", "begin after this offset").argParser(wholeNumber(0, Number.MAX_SAFE_INTEGER)),
    )
    .addOption(new Option("--kind <kinds>", "only these kinds; a trailing * stands for any ending").argParser(list))
    .addOption(new Option("--device <devices>", "only from these devices, by id or name").argParser(list))
    .addOption(
      new Option("--limit <n>", "stop after so many events").argParser(wholeNumber(1, Number.MAX_SAFE_INTEGER)),
    )
    .option("--no-reconnect", "end when the gateway goes away")
    .action((options: Options) => run(context, options));
}

interface Position {
  after: number | undefined;
  logId: string | undefined;
  printed: number;
}

async function run(context: Context, options: Options): Promise<void> {
  const position: Position = { after: options.after, logId: undefined, printed: 0 };
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
  const subscription = gateway.events({
    after: position.after ?? 0,
    logId: position.logId,
    filter: { kinds: options.kind ?? [], devices },
    // With a filter, the cursor moves past what is hidden too.
    onCaughtUp: ({ offset }) => (position.after = Math.max(position.after ?? 0, offset)),
    signal,
  });
  for await (const event of subscription) {
    print(context, event, options.json);
    position.after = event.offset;
    position.printed += 1;
    if (position.printed === options.limit) return;
  }
  signal.throwIfAborted();
}

async function deviceIds(
  gateway: GatewayClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const ids = async (): Promise<readonly string[]> =>
    (await gateway.devices.list({ signal })).map((device) => device.id);
  const found = [];
  for (const name of names) found.push((await gateway.devices.get(await expandId(name, ids), { signal })).id);
  return found;
}

function print(context: Context, event: EventRecord, json: boolean): void {
  const { terminal } = context;
  if (json) {
    const { outboxEpoch, bytes: _bytes, data, time, received, ...rest } = event;
    const times = { time: iso(time), received: iso(received) };
    terminal.json({ ...rest, outboxEpoch: Buffer.from(outboxEpoch).toString("hex"), ...times, data: toJson(data) });
    return;
  }
  const when = (iso(event.received) ?? "").slice(11, 23);
  const head = `${String(event.offset).padStart(8)}  ${when}  ${shortId(event.deviceId)}  ${printable(event.kind)}  `;
  const body = printable(JSON.stringify(toJson(event.data)) ?? "");
  terminal.result(
    fit(`${head}${body}`, terminal.streams.stdout.isTTY === true ? terminal.columns : Number.MAX_SAFE_INTEGER),
  );
}

function iso(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}

type Note = { readonly reconnecting: { after: number; inMs: number } } | { readonly resumed: { after: number } };

function note(context: Context, options: Options, what: Note): void {
  if (options.json) context.terminal.note(JSON.stringify(what));
  else if ("resumed" in what) context.terminal.note(`connected again, going on after offset ${what.resumed.after}`);
  else context.terminal.note(`the gateway went away; trying again after offset ${what.reconnecting.after}`);
}
