import { endAttempt } from "./retry.ts";
import type { CompletionVerdict, TaskInput, TaskStep } from "./task-step.ts";
import { commonOf, isLeased, isTerminal, type LeasedTask, type Task, type TaskLimits } from "./task-state.ts";

type ResultInput = Extract<TaskInput, { kind: "result" }>;

/** Compare and set: the result of the newest token, of the device that holds it, for a task that has not ended. */
export function completeTask(task: Task, result: ResultInput, limits: TaskLimits): TaskStep {
  // Tokens are small numbers anyone can guess; whose word it is comes from the session.
  if (result.token !== task.token || result.device !== task.holder) {
    return verdict(task, { kind: "fenced", token: result.token });
  }
  if (isTerminal(task)) return verdict(task, { kind: "duplicate", outcome: task.kind });
  if (isLeased(task)) return settle(task, result, task.kind === "unknown", limits);
  // Given up on, but not leased again yet: a result that comes late is still the only one.
  if (task.kind === "retry-wait" || task.kind === "queued") return settleLate(task, result);
  return task satisfies never;
}

function settle(task: LeasedTask, result: ResultInput, late: boolean, limits: TaskLimits): TaskStep {
  const common = commonOf(task);
  const at = result.now;
  if (isOutOfTime(task, result)) return verdict({ ...common, kind: "timed-out", at }, { kind: "stored" });
  switch (result.outcome) {
    case "succeeded":
      return verdict({ ...common, kind: "succeeded", at, late }, { kind: "stored" });
    case "cancelled":
      return verdict({ ...common, kind: "cancelled", at }, { kind: "stored" });
    case "timed-out":
      return verdict({ ...common, kind: "timed-out", at }, { kind: "stored" });
    case "failed":
      if (!result.retryable)
        return verdict({ ...common, kind: "failed", at, late, reason: "failed" }, { kind: "stored" });
      return stored(endAttempt(task, "failed", at, limits));
    case "lease-lost":
      return stored(endAttempt(task, "lost", at, limits));
    default:
      return result.outcome satisfies never;
  }
}

/**
 * Whether the deadline decides instead of the result. A node in reach was told to stop in time, so what it says afterwards comes too late; one that was
 * out of reach may have finished in time. `cancelled` is its answer to being told, where nobody else asked.
 */
function isOutOfTime(task: LeasedTask, { outcome, now }: ResultInput): boolean {
  if (now < task.deadlineAt) return false;
  if (outcome === "cancelled") return !task.cancelRequested;
  return task.kind !== "unknown";
}

function settleLate(task: Extract<Task, { kind: "queued" | "retry-wait" }>, result: ResultInput): TaskStep {
  const common = commonOf(task);
  switch (result.outcome) {
    case "succeeded":
      return verdict({ ...common, kind: "succeeded", at: result.now, late: true }, { kind: "stored" });
    case "failed":
      if (result.retryable) break;
      return verdict({ ...common, kind: "failed", at: result.now, late: true, reason: "failed" }, { kind: "stored" });
    case "cancelled":
    case "timed-out":
    case "lease-lost":
      break;
    default:
      return result.outcome satisfies never;
  }
  // It says that the attempt came to nothing, and the next one is already on its way.
  return verdict(task, { kind: "stored" });
}

function stored(step: TaskStep): TaskStep {
  return { state: step.state, effects: [...step.effects, { kind: "completion", verdict: { kind: "stored" } }] };
}

function verdict(state: Task, found: CompletionVerdict): TaskStep {
  return { state, effects: [{ kind: "completion", verdict: found }] };
}
