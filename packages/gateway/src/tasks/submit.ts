/** From an operator's request to a row: defaults, bounds, and what makes two requests the same. */
import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Store } from "../store/port.ts";
import type { SubmitTask } from "../store/port-tasks.ts";
import type { TaskTarget } from "../store/rows.ts";
import { newId } from "./ids.ts";
import { MAX_TASK_INPUT_BYTES, type SubmitOptions } from "./service.ts";

const DEFAULT_TIMEOUT_MS = 3_600_000;
const DEFAULT_QUEUE_MS = 86_400_000;
const DEFAULT_MAX_ATTEMPTS = 5;
/** A year: further away is a mistake. */
const MAX_DURATION_MS = 366 * 86_400_000;
const MAX_ATTEMPTS = 100;
const MAX_KEY_CHARACTERS = 200;
/** As in `task.run`. docs/wire.md, "Tasks". */
const MAX_NAME_CHARACTERS = 128;

/** What {@link parseSubmit} needs to know. */
export interface SubmitContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly maxUnfinishedTasks: number;
  readonly resolveDevice: (device: string) => Promise<string>;
}

/**
 * @throws {GatewayError} `TASK_INVALID` naming the field, `TASK_INPUT_TOO_LARGE`, `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS`, `DEVICE_REVOKED`
 */
export async function parseSubmit(request: SubmitOptions, context: SubmitContext): Promise<SubmitTask> {
  const { definition, input, idempotencyKey = "", submitter = "", exclusive = false, idempotent = false } = request;
  const { timeoutMs = DEFAULT_TIMEOUT_MS, queueMs = DEFAULT_QUEUE_MS, maxAttempts = DEFAULT_MAX_ATTEMPTS } = request;
  checkText("definition", definition, 1, MAX_NAME_CHARACTERS);
  checkText("idempotencyKey", idempotencyKey, 0, MAX_KEY_CHARACTERS);
  checkInteger("timeout", timeoutMs, 1, MAX_DURATION_MS);
  checkInteger("queue", queueMs, 1, MAX_DURATION_MS);
  checkInteger("maxAttempts", maxAttempts, 1, MAX_ATTEMPTS);
  if (input.length === 0) throw invalid("input", "is empty: it is one CBOR value");
  if (input.length > MAX_TASK_INPUT_BYTES) {
    throw new GatewayError("TASK_INPUT_TOO_LARGE", `${input.length} bytes where ${MAX_TASK_INPUT_BYTES} are taken`);
  }
  const target = await parseTarget(request.target, context);
  const now = context.clock.now();
  const body = { definition, target, timeoutMs, queueMs, maxAttempts, exclusive, idempotent };
  return {
    ...body,
    taskId: newId(now),
    input,
    idempotencyKey,
    submitter,
    bodyHash: idempotencyKey === "" ? "" : hashOf(body, input),
    maxUnfinished: context.maxUnfinishedTasks,
    now,
  };
}

async function parseTarget(target: SubmitOptions["target"], context: SubmitContext): Promise<TaskTarget> {
  switch (target.kind) {
    case "any":
      return { kind: "any" };
    case "label":
      checkText("label", target.label, 1, MAX_NAME_CHARACTERS);
      return { kind: "label", label: target.label };
    case "device": {
      const deviceId = await context.resolveDevice(target.device);
      const device = await context.store.devices.get(deviceId);
      if (device?.revoked === true) throw new GatewayError("DEVICE_REVOKED", `device ${deviceId} is revoked`);
      return { kind: "device", deviceId };
    }
    default:
      return target satisfies never;
  }
}

function hashOf(body: object, input: Uint8Array): string {
  return createHash("sha256").update(JSON.stringify(body)).update(input).digest("hex");
}

function checkText(field: string, value: string, min: number, max: number): void {
  if (value.length < min || value.length > max)
    throw invalid(field, `has ${value.length} characters, not ${min} to ${max}`);
}

function checkInteger(field: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw invalid(field, `is ${value}, not ${min} to ${max}`);
}

function invalid(field: string, what: string): GatewayError {
  return new GatewayError("TASK_INVALID", `${field} ${what}`, { metadata: { field } });
}
