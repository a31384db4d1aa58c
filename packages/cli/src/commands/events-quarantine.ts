import type { QuarantinedEvent } from "@quaymesh/gateway/client";
import { Option, type Command } from "commander";
import { makeCommand, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { ago, count, printable, shortId } from "../ui/format.ts";
import { toJson, withTimes } from "../ui/json.ts";
import { table } from "../ui/table.ts";

interface Options extends CommonOptions {
  readonly device?: string;
  readonly limit: number;
  readonly before?: number;
}

const DEFAULT_LIMIT = 20;

/** `quaymesh events quarantine` */
export function eventsQuarantineCommand(context: Context): Command {
  return makeCommand("quarantine", {
    summary: "show events that were set aside",
    description:
      "A node numbers its events. When one comes under a number that another event was stored under before, the first stays in the log and the later one is set aside here, whole: " +
      "two hold that node's identity, or its disk was put back to an older state. Newest first; WAS is the offset of the first in the log.",
    examples: [
      ["quaymesh events quarantine", "the newest 20"],
      ["quaymesh events quarantine --device barn --json", "of one device, with their bodies"],
    ],
    exits: [3, 4, 5, 30],
    state: "gateway",
  })
    .addOption(new Option("--device <device>", "only of this device, by id or name"))
    .addOption(new Option("--limit <n>", "at most so many").argParser(wholeNumber(1, 1000)).default(DEFAULT_LIMIT))
    .addOption(
      new Option("--before <id>", "only what has a lower id: the next page").argParser(
        wholeNumber(1, Number.MAX_SAFE_INTEGER),
      ),
    )
    .action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const events = await gateway.quarantined({
    ...(options.device !== undefined && { device: options.device }),
    ...(options.before !== undefined && { beforeId: options.before }),
    limit: options.limit,
    signal,
  });
  if (options.json) {
    for (const event of events) terminal.json(quarantinedJson(event));
    return;
  }
  if (events.length === 0) {
    terminal.note("Nothing is set aside: no node sent two events under one number.");
    return;
  }
  for (const line of quarantineTable(events, terminal.columns, context.now())) terminal.result(line);
}

/** An event set aside as `--json` prints it. */
function quarantinedJson({ outboxEpoch, bytes: _bytes, data, offset, ...event }: QuarantinedEvent): object {
  const epoch = Buffer.from(outboxEpoch).toString("hex");
  return { ...withTimes(event, ["time", "received"]), outboxEpoch: epoch, offset: offset ?? null, data: toJson(data) };
}

/** Events set aside, one a line. */
export function quarantineTable(events: readonly QuarantinedEvent[], columns: number, now: number): readonly string[] {
  const head = [
    { heading: "ID", right: true },
    { heading: "DEVICE" },
    { heading: "SEQ", right: true },
    { heading: "WAS", right: true },
    { heading: "CAME" },
    { heading: "KIND", elastic: true },
    { heading: "DATA", elastic: true },
  ];
  const rows = events.map((event) => [
    String(event.id),
    shortId(event.deviceId),
    count(event.seq),
    event.offset === undefined ? "gone" : count(event.offset),
    ago(event.received, now),
    printable(event.kind),
    printable(JSON.stringify(toJson(event.data)) ?? ""),
  ]);
  return table(head, rows, columns);
}
