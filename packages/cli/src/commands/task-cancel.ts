import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator, expandId } from "../operator.ts";
import { taskJson } from "./task-follow.ts";

interface Options extends CommonOptions {
  readonly reason: string;
}

/** `quaymesh task cancel TASK` */
export function taskCancelCommand(context: Context): Command {
  return makeCommand("cancel <task>", {
    summary: "stop a task",
    description:
      "Ask a task to stop. What was committed first wins: a task that has just succeeded stays so, and that is what is printed.",
    examples: [["quaymesh task cancel 01JD2Y7Q --reason 'wrong input'", "the node is told the reason"]],
    exits: [3, 4, 5, 24, 30],
    state: "gateway",
  })
    .option("--reason <text>", "why, for the node and the record", "")
    .action((task: string, options: Options) => run(context, task, options));
}

async function run(context: Context, name: string, options: Options): Promise<void> {
  const { terminal, signal } = context;
  await using gateway = await connectOperator(context, options);
  const ids = async (): Promise<readonly string[]> => (await gateway.tasks.list({ signal })).map((task) => task.id);
  const task = await gateway.tasks.attach(await expandId(name, ids), { signal });
  const info = await task.cancel(options.reason, { signal });
  if (options.json) terminal.json(taskJson(info));
  else
    terminal.result(
      info.state === "cancelled" ? `✓ ${info.id} cancelled` : `${info.id} is ${info.state}; its node was told to stop`,
    );
}
