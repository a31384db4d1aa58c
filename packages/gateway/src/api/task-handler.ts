import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { SubmitTaskRequest, TaskService } from "@quaymesh/api";
import { GatewayError } from "../errors.ts";
import type { SubmitOptions, TaskService as Tasks, TaskUpdate } from "../tasks/service.ts";
import { taskMessage, timestamp } from "./encode.ts";
import { callerKey } from "./permissions.ts";

/** Tasks in a list nobody bounded. */
const DEFAULT_LIST = 100;

/** `quaymesh.v1.TaskService` on the core's tasks. */
export function taskHandler(tasks: Tasks): ServiceImpl<typeof TaskService> {
  return {
    async submitTask(request, context) {
      return { task: taskMessage(await tasks.submit(submission(request, context))) };
    },
    async getTask({ taskId }) {
      return { task: taskMessage(await tasks.get(taskId)) };
    },
    async listTasks({ limit, activeOnly }) {
      const found = await tasks.list({ limit: limit === 0 ? DEFAULT_LIST : limit, activeOnly });
      return { tasks: found.map(taskMessage) };
    },
    async cancelTask({ taskId, reason }) {
      return { task: taskMessage(await tasks.cancel(taskId, { reason })) };
    },
    async *watchTask({ taskId }, { signal }) {
      for await (const update of tasks.watch(taskId, { signal })) yield updateMessage(update);
    },
    async *getTaskOutput({ taskId }, { signal }) {
      for await (const data of tasks.readOutput(taskId, { signal })) yield { data };
    },
  };
}

function submission(request: SubmitTaskRequest, context: HandlerContext): SubmitOptions {
  const { timeoutSeconds, queueSeconds, maxAttempts, idempotencyKey } = request;
  return {
    definition: request.definition,
    target: targetOf(request),
    input: request.input,
    submitter: context.values.get(callerKey)?.name ?? "",
    exclusive: request.exclusive,
    idempotent: request.idempotent,
    ...(timeoutSeconds > 0 && { timeoutMs: timeoutSeconds * 1000 }),
    ...(queueSeconds > 0 && { queueMs: queueSeconds * 1000 }),
    ...(maxAttempts > 0 && { maxAttempts }),
    ...(idempotencyKey !== "" && { idempotencyKey }),
  };
}

function targetOf({ target }: SubmitTaskRequest): SubmitOptions["target"] {
  const place = target?.target;
  if (place?.case === "device") return { kind: "device", device: place.value };
  if (place?.case === "label") return { kind: "label", label: place.value };
  if (place?.case === "any") return { kind: "any" };
  throw new GatewayError("REQUEST_INVALID", "target is missing: name a device, a label, or any", {
    metadata: { field: "target" },
  });
}

function updateMessage(update: TaskUpdate) {
  const task = taskMessage(update.task);
  if (update.kind === "task") return { task };
  const { level, message, time } = update.log;
  return { task, log: { level, message, time: timestamp(time) } };
}
