import type { TaskInfo } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator, expandId } from "../operator.ts";
import { printFacts } from "../ui/facts.ts";
import { ago, printable, size } from "../ui/format.ts";
import { followTask, taskJson } from "./task-follow.ts";
import { stateText } from "./task-list.ts";

interface Options extends CommonOptions {
  readonly follow: boolean;
}

/** `quaymesh task show TASK` */
export function taskShowCommand(context: Context): Command {
  return makeCommand("show <task>", {
    summary: "show one task, or follow it",
    description:
      "Show what became of a task, named by its id or a unique beginning of it. With --follow, show it until it ends and print its result.",
    examples: [
      ["quaymesh task show 01JD2Y7Q", "what it is and where"],
      ["quaymesh task show 01JD2Y7Q --follow > result.json", "its result, once it has one"],
    ],
    exits: [3, 4, 5, 20, 21, 22, 23, 30, 130],
    state: "gateway",
  })
    .option("--follow", "show progress and log lines from its beginning until it ends, then the result", false)
    .action((task: string, options: Options) => run(context, task, options));
}

async function run(context: Context, name: string, options: Options): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const ids = async (): Promise<readonly string[]> => (await gateway.tasks.list({ signal })).map((task) => task.id);
  const task = await gateway.tasks.attach(await expandId(name, ids), { signal });
  if (options.follow) {
    await followTask(context, task, options);
    return;
  }
  const info = await task.info({ signal });
  if (options.json) {
    terminal.json(taskJson(info));
    return;
  }
  const facts = rows(info, context.now()).map(([label, value]) => [label, printable(value)] as const);
  printFacts(terminal, facts, 12);
}

function rows(task: TaskInfo, now: number): readonly (readonly [string, string])[] {
  const { device, error, deadline } = task;
  return [
    ["task", task.id],
    ["definition", task.definition],
    ["state", `${stateText(task, now)}, ${ago(task.stateSince, now)} ago`],
    ["submitted", `${ago(task.createdAt, now)} ago`],
    ["node", device === undefined ? "none yet" : `${device.name} (${device.id}), attempt ${task.attempt}`],
    ["progress", `${Math.floor(task.progress * 100)} % ${task.progressMessage}`.trimEnd()],
    ["input", size(task.inputBytes)],
    ["output", size(task.outputBytes)],
    ...(deadline === undefined ? [] : ([["deadline", new Date(deadline).toISOString()]] as const)),
    ...(error === undefined ? [] : ([["error", `${error.code}: ${error.message}`]] as const)),
  ];
}
