import { Option, type Command } from "commander";
import type { SubmitOptions } from "@quaymesh/gateway/client";
import { makeCommand, seconds, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { taskInput, taskPlace } from "../task-input.ts";
import { followTask } from "./task-follow.ts";

interface Options extends CommonOptions {
  readonly on: string;
  readonly input: string;
  readonly timeout?: number;
  readonly queue?: number;
  readonly idempotencyKey?: string;
  readonly exclusive: boolean;
  readonly idempotent: boolean;
  readonly maxAttempts?: number;
  readonly detach: boolean;
}

/** The longest times that are taken: 30 days. */
const MAX_SECONDS = 2_592_000;
const MAX_ATTEMPTS = 100;

/** `quaymesh task run DEFINITION` */
export function taskRunCommand(context: Context): Command {
  return makeCommand("run <definition>", {
    summary: "run a task on a node and print its result",
    description:
      "Submit work and follow it: progress and log lines on stderr, the result on stdout. The task is safe with the gateway once its id is shown; " +
      "Ctrl-C leaves it running. Take it up again with  quaymesh task show ID --follow, stop it with  quaymesh task cancel ID.",
    examples: [
      [
        "quaymesh task run image.resize --on label:gpu --input @job.json",
        "on a node with that label, input from a file",
      ],
      [`quaymesh task run exec --on device:nas --input '{"command":"uptime"}'`, "a command that node allows"],
      ["quaymesh task run report --detach", "on any node that offers it, without waiting"],
    ],
    exits: [3, 4, 5, 6, 20, 21, 22, 23, 25, 26, 27, 30, 130],
    state: "gateway",
  })
    .option("--on <where>", "device:NAME, label:LABEL or any", "any")
    .option("--input <json>", "the input as JSON, @FILE, or - for standard input", "null")
    .addOption(new Option("--timeout <time>", "for one attempt (default: 1h)").argParser(seconds(1, MAX_SECONDS)))
    .addOption(
      new Option("--queue <time>", "give up when it has not started by then (default: 1d)").argParser(
        seconds(1, MAX_SECONDS),
      ),
    )
    .option("--idempotency-key <key>", "repeats with this key are the same task")
    .option("--exclusive", "the node runs nothing else meanwhile", false)
    .option("--idempotent", "the work may safely run twice", false)
    .addOption(
      new Option("--max-attempts <n>", "give up after so many (default: 5)").argParser(wholeNumber(1, MAX_ATTEMPTS)),
    )
    .option("--detach", "print the task's id and leave", false)
    .action((definition: string, options: Options) => run(context, definition, options));
}

async function run(context: Context, definition: string, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const place = taskPlace(options.on);
  const input = await taskInput(options.input, terminal.streams.stdin);
  await using gateway = await connectOperator(context, options);
  const task = await gateway.tasks.submit(definition, input, {
    ...submitOptions(options),
    ...(place && { on: place }),
    signal,
  });
  if (options.json) terminal.json({ taskId: task.id, submitted: true });
  else if (options.detach) terminal.result(task.id);
  else terminal.note(`task ${task.id}`);
  if (options.detach) return;
  try {
    await followTask(context, task, options);
  } catch (error) {
    if (signal.aborted && !options.json) {
      terminal.note(`the task goes on; follow it with  quaymesh task show ${task.id} --follow`);
    }
    throw error;
  }
}

function submitOptions(options: Options): SubmitOptions {
  const { timeout, queue, idempotencyKey, maxAttempts, exclusive, idempotent } = options;
  return {
    ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
    ...(queue !== undefined && { queueMs: queue * 1000 }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(maxAttempts !== undefined && { maxAttempts }),
    exclusive,
    idempotent,
  };
}
