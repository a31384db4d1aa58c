import { isULID } from "./ids.ts";
import { GatewayError } from "../errors.ts";
import type { Clock } from "../clock.ts";
import type { Store } from "../store/port.ts";
import { isTerminal, type TaskRow } from "../store/rows.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { TaskService, TaskUpdate, TaskView } from "./service.ts";
import { parseSubmit } from "./submit.ts";
import type { TaskHub } from "./task-hub.ts";

/** Most tasks one list gives. */
const MAX_LIST = 1000;
/** Log lines read at once. */
const LOG_PAGE = 256;
/** Pieces of output read at once. */
const OUTPUT_PAGE = 16;

/** What {@link createTaskService} takes. */
export interface TaskServiceOptions {
  readonly store: Store;
  readonly hub: TaskHub;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly maxUnfinishedTasks: number;
  readonly isOnline: (deviceId: string) => boolean;
  /** The device an operator means. */
  readonly resolveDevice: (device: string) => Promise<string>;
  /** Why no new work is taken, if so. */
  readonly refusing: () => GatewayError | undefined;
  /** Aborts when the gateway closes. */
  readonly signal: AbortSignal;
}

/** Offloaded work, for operators. */
export function createTaskService(options: TaskServiceOptions): TaskService {
  return {
    async submit(request) {
      const refusal = options.refusing();
      if (refusal !== undefined) throw refusal;
      const input = await parseSubmit(request, options);
      const result = await options.store.tasks.submit(input);
      switch (result.kind) {
        case "created":
        case "existing":
          return await viewOf(options, result.task);
        case "conflict":
          throw new GatewayError(
            "IDEMPOTENCY_CONFLICT",
            `the key names task ${result.taskId}, which is another request`,
            {
              metadata: { taskId: result.taskId },
            },
          );
        case "full":
          throw new GatewayError("TASK_QUEUE_FULL", `${options.maxUnfinishedTasks} tasks are unfinished`);
        default:
          return result satisfies never;
      }
    },
    get: async (task) => await viewOf(options, await findTask(options, task)),
    async list({ limit = 100, activeOnly = false } = {}) {
      const rows = await options.store.tasks.list({ limit: Math.min(Math.max(1, limit), MAX_LIST), activeOnly });
      return await viewsOf(options, rows);
    },
    cancel: async (task, { reason = "" } = {}) => await cancelTask(options, task, reason),
    watch: (task, { signal } = {}) => watchTask(options, task, closing(options, signal)),
    readOutput: (task, { signal } = {}) => readOutput(options, task, closing(options, signal)),
  };
}

async function cancelTask(options: TaskServiceOptions, wanted: string, reason: string): Promise<TaskView> {
  const { store, dispatcher, clock, leaseMs, isOnline } = options;
  const task = await findTask(options, wanted);
  const { taskId, token, deviceId } = task;
  const now = clock.now();
  const heard = dispatcher.canReach(taskId, token) || (deviceId !== undefined && isOnline(deviceId));
  // A node that hears us decides itself, and may be done already. For one that does not, the decision is ours, and its attempt is fenced.
  const inputs = heard
    ? ([{ kind: "cancel", now }] as const)
    : ([
        { kind: "cancel", now },
        { kind: "fence", now },
      ] as const);
  const stepped = await store.tasks.step({ taskId, token, inputs, leaseMs, now, reason });
  // Leased to someone, or ended, in the meantime: look again.
  if (stepped === undefined) return await cancelTask(options, taskId, reason);
  if (stepped.effects.some((effect) => effect.kind === "cancel-too-late")) {
    throw new GatewayError("TASK_ENDED", `task ${taskId} has ended: ${task.state}`, {
      metadata: { state: task.state },
    });
  }
  dispatcher.cancel(taskId, token, reason);
  return await viewOf(options, stepped.task);
}

async function* watchTask(
  options: TaskServiceOptions,
  wanted: string,
  signal: AbortSignal,
): AsyncGenerator<TaskUpdate, void, undefined> {
  const { taskId } = await findTask(options, wanted);
  using bell = options.hub.watch(taskId);
  let afterLine = 0;
  let shown: TaskRow | undefined;
  for (;;) {
    signal.throwIfAborted();
    const row = await requireTask(options, taskId);
    const task = await viewOf(options, row);
    // Lines up to the row's own count, so that a line never comes before the row that counts it.
    while (afterLine < row.logLines) {
      const lines = await options.store.tasks.readLog({ taskId, afterLine, limit: LOG_PAGE });
      for (const log of lines) yield { kind: "log", task, log };
      afterLine = lines.at(-1)?.line ?? row.logLines;
    }
    if (shown === undefined || differs(shown, row)) yield { kind: "task", task };
    shown = row;
    if (isTerminal(row.state)) return;
    await bell.rung(signal);
  }
}

/** Whether someone who watches would see a difference. */
function differs(before: TaskRow, now: TaskRow): boolean {
  return (
    before.state !== now.state ||
    before.token !== now.token ||
    before.progress !== now.progress ||
    before.progressMessage !== now.progressMessage ||
    before.outputBytes !== now.outputBytes ||
    before.cancelRequested !== now.cancelRequested
  );
}

async function* readOutput(
  options: TaskServiceOptions,
  wanted: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { taskId, state } = await findTask(options, wanted);
  if (state !== "succeeded") {
    throw new GatewayError("TASK_NOT_SUCCEEDED", `task ${taskId} is ${state}`, { metadata: { state } });
  }
  for (let index = 0; ;) {
    signal.throwIfAborted();
    const pieces = await options.store.tasks.readOutput({ taskId, index, limit: OUTPUT_PAGE });
    if (pieces.length === 0) return;
    yield* pieces;
    index += pieces.length;
  }
}

async function findTask({ store }: TaskServiceOptions, wanted: string): Promise<TaskRow> {
  if (isULID(wanted)) {
    const task = await store.tasks.get(wanted.toUpperCase());
    if (task !== undefined) return task;
  }
  const found = await store.tasks.find(wanted);
  const [first] = found;
  if (first === undefined) throw new GatewayError("TASK_NOT_FOUND", `no task ${wanted}`);
  if (found.length > 1) {
    throw new GatewayError("TASK_AMBIGUOUS", `several tasks begin with ${wanted}`, {
      metadata: { matches: found.map(({ taskId }) => taskId).join(" ") },
    });
  }
  return first;
}

async function requireTask({ store }: TaskServiceOptions, taskId: string): Promise<TaskRow> {
  const row = await store.tasks.get(taskId);
  if (row === undefined) throw new GatewayError("TASK_NOT_FOUND", `no task ${taskId}`);
  return row;
}

async function viewOf({ store }: TaskServiceOptions, row: TaskRow): Promise<TaskView> {
  const device = row.deviceId === undefined ? undefined : await store.devices.get(row.deviceId);
  return { ...row, deviceName: device?.name };
}

/** Views of many tasks, each device read once. */
async function viewsOf({ store }: TaskServiceOptions, rows: readonly TaskRow[]): Promise<readonly TaskView[]> {
  const ids = [...new Set(rows.map(({ deviceId }) => deviceId).filter((deviceId) => deviceId !== undefined))];
  const devices = await Promise.all(ids.map((deviceId) => store.devices.get(deviceId)));
  const names = new Map(devices.map((device) => [device?.deviceId, device?.name]));
  return rows.map((row) => Object.assign({ deviceName: names.get(row.deviceId) }, row));
}

function closing(options: TaskServiceOptions, signal: AbortSignal | undefined): AbortSignal {
  return signal === undefined ? options.signal : AbortSignal.any([options.signal, signal]);
}
