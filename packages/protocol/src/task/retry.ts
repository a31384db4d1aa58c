import { commonOf, type LeasedTask, type TaskEndReason, type TaskLimits, type Task } from "./task-state.ts";
import type { TaskStep } from "./task-step.ts";

/**
 * An attempt ended without a result that settles the task: retry, or give up.
 * @param reason `kills`: the node died with it; `failed`: it said so and may be retried; `lost`: its lease ended
 */
export function endAttempt(task: LeasedTask, reason: TaskEndReason, now: number, limits: TaskLimits): TaskStep {
  const common = { ...commonOf(task), kills: task.kills + (reason === "kills" ? 1 : 0) };
  if (task.cancelRequested) return settled({ ...common, kind: "cancelled", at: now });
  if (common.kills >= limits.maxKills) return settled({ ...common, kind: "dead", at: now, reason: "kills" });
  // It may have run, and it may not run twice: no one can promise more than that it is lost.
  if (!task.idempotent && reason !== "failed")
    return settled({ ...common, kind: "failed", at: now, late: false, reason: "lost" });
  if (common.attempts >= limits.maxAttempts) return settled({ ...common, kind: "dead", at: now, reason: "attempts" });
  const waitMs = Math.min(limits.retryCapMs, limits.retryBaseMs * 2 ** Math.min(common.attempts - 1, 30));
  const until = now + waitMs;
  return { state: { ...common, kind: "retry-wait", until }, effects: [{ kind: "schedule", at: until }] };
}

function settled(state: Task): TaskStep {
  return { state, effects: [] };
}
