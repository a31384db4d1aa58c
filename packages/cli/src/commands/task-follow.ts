import type { TaskHandle, TaskInfo, TaskUpdate } from "@quaymesh/gateway/client";
import { decodeValue } from "@quaymesh/protocol/core";
import type { Context } from "../context.ts";
import { CliError, type CliErrorCode } from "../errors.ts";
import { fit, printable, span } from "../ui/format.ts";
import { toJson, withTimes } from "../ui/json.ts";
import { bar, LiveLines } from "../ui/live.ts";

const BAR_COLUMNS = 30;

/** The others last a moment, or are told of at the end. */
const WORTH_A_LINE: ReadonlySet<TaskInfo["state"]> = new Set(["queued", "running", "retry-wait", "unknown"]);

const FAILURES: Readonly<Partial<Record<TaskInfo["state"], CliErrorCode>>> = {
  failed: "TASK_FAILED",
  cancelled: "TASK_CANCELLED",
  "timed-out": "TASK_TIMED_OUT",
  dead: "TASK_DEAD",
};

/**
 * Show a task until it ends, then its result on stdout.
 * @throws {CliError} `TASK_FAILED`, `TASK_CANCELLED`, `TASK_TIMED_OUT`, `TASK_DEAD`; {ClientError}
 */
export async function followTask(
  context: Context,
  task: TaskHandle<unknown>,
  options: { readonly json: boolean },
): Promise<void> {
  const { terminal, signal } = context;
  const last = await showUpdates(context, task, options.json);
  const info = last ?? (await task.info({ signal }));
  const failure = FAILURES[info.state];
  if (failure !== undefined) throw failed(failure, info);
  const result = decodeValue(await task.output({ signal }));
  if (options.json) {
    terminal.json({ taskId: task.id, result: toJson(result) });
    return;
  }
  const took = info.createdAt === undefined ? "" : ` in ${span((info.stateSince ?? context.now()) - info.createdAt)}`;
  terminal.done(`succeeded${took}${info.finishedLate ? ", finished late" : ""}`);
  await writeResult(context, result);
}

async function showUpdates(context: Context, task: TaskHandle<unknown>, json: boolean): Promise<TaskInfo | undefined> {
  const { terminal, signal } = context;
  using live = new LiveLines(terminal);
  let last: TaskUpdate | undefined;
  for await (const update of task.updates({ signal })) {
    if (json) terminal.json(updateJson(update));
    else showUpdate(context, live, update, last);
    last = update;
  }
  return last?.task;
}

function showUpdate(context: Context, live: LiveLines, update: TaskUpdate, last: TaskUpdate | undefined): void {
  const { terminal } = context;
  if (update.log !== undefined) live.print(`  | ${printable(update.log.message)}`);
  const state = stateLine(update.task);
  const changed = last === undefined || state !== stateLine(last.task);
  if (changed && WORTH_A_LINE.has(update.state)) live.print(state);
  if (update.state === "running") live.show([progressLine(update, context.now(), terminal.columns)]);
  else live.clear();
}

function stateLine({ state, device, attempt }: TaskInfo): string {
  const where =
    device === undefined ? "" : `  on ${printable(device.name === "" ? device.id : device.name)}, attempt ${attempt}`;
  return `${state}${where}`;
}

/** The bar, the share, what the task says of itself, and how long it may still take. */
export function progressLine(update: TaskUpdate, now: number, columns: number): string {
  const { progress, progressMessage, task } = update;
  const percent = `${Math.floor(progress * 100)} %`.padStart(5);
  const message = progressMessage === "" ? "" : `  ${printable(progressMessage)}`;
  return fit(`  ${bar(progress, BAR_COLUMNS)} ${percent}${message}${eta(progress, task.stateSince, now)}`, columns - 1);
}

function eta(progress: number, since: number | undefined, now: number): string {
  if (since === undefined || progress <= 0.02 || progress >= 1 || now - since < 1000) return "";
  return `  eta ${span(((now - since) * (1 - progress)) / progress)}`;
}

function updateJson({ log, task }: TaskUpdate): object {
  return {
    ...taskJson(task),
    log: log === undefined ? null : withTimes(log, ["time"]),
  };
}

/** A task as `--json` prints it. */
export function taskJson(task: TaskInfo): object {
  const { id, ...rest } = withTimes(task, ["createdAt", "stateSince", "leaseUntil", "deadline"]);
  return { taskId: id, ...rest, device: task.device ?? null, error: task.error ?? null };
}

function failed(code: CliErrorCode, task: TaskInfo): CliError {
  const { error } = task;
  const seen = error === undefined ? [] : [`${printable(error.code)}: ${printable(error.message)}`];
  return new CliError(code, `task ${task.id} ${task.state} in attempt ${task.attempt}`, {
    seen,
    hint: `See it with:  quaymesh task show ${task.id}`,
  });
}

/** Bytes and text come out as they are, for the next program; anything else as JSON. */
async function writeResult({ terminal }: Context, result: unknown): Promise<void> {
  const { stdout } = terminal.streams;
  if (result instanceof Uint8Array) {
    await new Promise<void>((resolve) => stdout.write(result, () => resolve()));
    return;
  }
  if (typeof result === "string") terminal.result(result);
  else terminal.result(JSON.stringify(toJson(result), null, stdout.isTTY === true ? 2 : 0));
}
