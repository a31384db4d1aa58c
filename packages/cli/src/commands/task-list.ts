import type { TaskInfo } from "@quaymesh/gateway/client";
import { Option, type Command } from "commander";
import { makeCommand, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { ago, printable, shortId, span } from "../ui/format.ts";
import { table } from "../ui/table.ts";
import { taskJson } from "./task-follow.ts";

interface Options extends CommonOptions {
  readonly active: boolean;
  readonly limit: number;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 10_000;

/** `quaymesh task list` */
export function taskListCommand(context: Context): Command {
  return makeCommand("list", {
    summary: "list tasks, newest first",
    description:
      "List tasks and where they are: queued, running, succeeded, or unknown since their node went out of reach.",
    examples: [
      ["quaymesh task list --active", "what has not ended"],
      ["quaymesh task list --json --limit 1000", "one task a line"],
    ],
    exits: [3, 4, 30],
    state: "gateway",
  })
    .option("--active", "only tasks that have not ended", false)
    .addOption(new Option("--limit <n>", "at most so many").argParser(wholeNumber(1, MAX_LIMIT)).default(DEFAULT_LIMIT))
    .action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const tasks = await gateway.tasks.list({ limit: options.limit, activeOnly: options.active, signal });
  if (options.json) {
    for (const task of tasks) terminal.json(taskJson(task));
    return;
  }
  if (tasks.length === 0) {
    terminal.note(options.active ? "Nothing is waiting or running." : "No task yet. Run one with:  quaymesh task run");
    return;
  }
  for (const line of taskTable(tasks, terminal.columns, context.now())) terminal.result(line);
}

/** Tasks as a table. */
export function taskTable(tasks: readonly TaskInfo[], columns: number, now: number): readonly string[] {
  const head = [
    { heading: "ID" },
    { heading: "DEFINITION", elastic: true },
    { heading: "NODE", elastic: true },
    { heading: "STATE", elastic: true },
    { heading: "SINCE" },
  ];
  const rows = tasks.map((task) => [
    shortId(task.id),
    printable(task.definition),
    task.device === undefined ? "-" : printable(task.device.name === "" ? shortId(task.device.id) : task.device.name),
    stateText(task, now),
    ago(task.stateSince, now),
  ]);
  return table(head, rows, columns);
}

/** The state, with what one wants to know of it. */
export function stateText(task: TaskInfo, now: number): string {
  if (task.state === "running") return `running ${Math.floor(task.progress * 100)} %`;
  if (task.finishedLate) return `${task.state}, finished late`;
  if (task.state !== "unknown") return task.state;
  const since = task.stateSince === undefined ? "" : ` since ${new Date(task.stateSince).toISOString().slice(11, 19)}`;
  const left =
    task.leaseUntil === undefined || task.leaseUntil <= now ? "" : `, lease ends in ${span(task.leaseUntil - now)}`;
  return `unknown${since} (node out of reach${left})`;
}
