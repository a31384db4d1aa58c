import { Option, type Command } from "commander";
import { list, makeCommand, seconds, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { count } from "../ui/format.ts";
import { deviceIds, moment, printEvent } from "./events-print.ts";

interface Options extends CommonOptions {
  readonly after?: number;
  readonly since?: (now: number) => number;
  readonly tail: boolean;
  readonly kind?: readonly string[];
  readonly device?: readonly string[];
  readonly label?: readonly string[];
  readonly limit?: number;
  readonly skipLost: boolean;
  readonly keepAge?: number;
  readonly keepEvents?: number;
  readonly keepBytes?: number;
}

const MOST = Number.MAX_SAFE_INTEGER;

/** `quaymesh events subscribe NAME` */
export function eventsSubscribeCommand(context: Context): Command {
  return makeCommand("subscribe <name>", {
    summary: "follow the log by a cursor that the gateway keeps",
    description:
      "Print what the durable subscription NAME has not seen yet, and then what comes, until Ctrl-C. It is made where it is new; after that the gateway keeps its place and filter, and " +
      "keeps events for it. An event counts as seen once it is printed. Whoever runs this takes the subscription from another who does. Undo it with: quaymesh events unsubscribe NAME",
    examples: [
      ["quaymesh events subscribe export --kind 'sensor.*' --json", "the first time: from the log's beginning"],
      ["quaymesh events subscribe export --json", "any time later: what came since"],
    ],
    exits: [3, 4, 5, 6, 30, 40, 41],
    state: "gateway",
  })
    .addOption(new Option("--after <offset>", "a new one begins after this offset").argParser(wholeNumber(0, MOST)))
    .addOption(new Option("--since <age>", "a new one begins so long ago, or at this time").argParser(moment))
    .option("--tail", "a new one begins now", false)
    .addOption(new Option("--kind <kinds>", "only these kinds; a trailing * stands for any ending").argParser(list))
    .addOption(new Option("--device <devices>", "only from these devices, by id or name").argParser(list))
    .addOption(new Option("--label <labels>", "only from devices with one of these labels").argParser(list))
    .addOption(new Option("--limit <n>", "stop after so many events").argParser(wholeNumber(1, MOST)))
    .option("--skip-lost", "go on where events are gone that it had not seen", false)
    .addOption(
      new Option("--keep-age <time>", "of a new one: keep events for it so long (7d)").argParser(seconds(1, 3e9)),
    )
    .addOption(new Option("--keep-events <n>", "of a new one: keep so many").argParser(wholeNumber(1, MOST)))
    .addOption(new Option("--keep-bytes <n>", "of a new one: keep so many bytes").argParser(wholeNumber(1, MOST)))
    .action((name: string, options: Options) => run(context, name, options));
}

async function run(context: Context, name: string, options: Options): Promise<void> {
  const { signal, terminal } = context;
  const { kind, label, keepAge, keepEvents, keepBytes, json } = options;
  await using gateway = await connectOperator(context, options);
  const devices = options.device === undefined ? undefined : await deviceIds(gateway, options.device, signal);
  const filter = { ...(kind && { kinds: kind }), ...(devices && { devices }), ...(label && { labels: label }) };
  const events = gateway.events({
    durable: name,
    tail: options.tail,
    skipLost: options.skipLost,
    ...(options.after !== undefined && { after: options.after }),
    ...(options.since !== undefined && { since: options.since(context.now()) }),
    ...(Object.keys(filter).length > 0 && { filter }),
    quota: {
      ...(keepAge !== undefined && { maxAgeMs: keepAge * 1000 }),
      ...(keepEvents !== undefined && { maxEvents: keepEvents }),
      ...(keepBytes !== undefined && { maxBytes: keepBytes }),
    },
    onOpened: (opened) => {
      if (json) return terminal.note(JSON.stringify({ opened }));
      if (opened.lost > 0) terminal.note(terminal.tone("yellow", `! ${count(opened.lost)} events are gone unseen`));
      terminal.note(opened.created ? `made ${name}` : `${name} goes on after offset ${opened.acked}`);
    },
    signal,
  });
  let printed = 0;
  try {
    for await (const event of events) {
      printEvent(context, event, json);
      printed += 1;
      if (printed !== options.limit) continue;
      await events.acknowledge(event);
      return;
    }
  } catch (error) {
    // Ctrl-C is how following ends.
    if (!signal.aborted) throw error;
  }
}
