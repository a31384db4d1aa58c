/**
 * The task table: QUEUED -> LEASED -> RUNNING -> SUCCEEDED | FAILED | CANCELLED | TIMED_OUT, with UNKNOWN, RETRY_WAIT
 * and DEAD. Each input is one transaction of the ledger: read the task, step, write it back where it has not changed
 * meanwhile. docs/wire.md, "Tasks".
 */
import { completeTask } from "./completion.ts";
import { endAttempt } from "./retry.ts";
import type { TaskEffect, TaskInput, TaskStep } from "./task-step.ts";
import {
  commonOf,
  isLeased,
  isTerminal,
  TASK_LIMITS,
  type LeasedTask,
  type Task,
  type TaskLimits,
} from "./task-state.ts";

/** Advance a task. */
export function stepTask(task: Task, input: TaskInput, limits: TaskLimits = TASK_LIMITS): TaskStep {
  switch (input.kind) {
    case "lease":
      return lease(task, input.device, input.now, limits);
    case "accepted":
      return accept(task, input.token);
    case "rejected":
      return reject(task, input.token, input.now, limits);
    case "broken-off":
      return breakOff(task, input.token, input.now, limits);
    case "unlisted":
      return unlisted(task, input, limits);
    case "renew":
      return renew(task, input.token, input.device, input.now, limits);
    case "node-lost":
      return nodeLost(task, input.now);
    case "node-back-without":
      return nodeBackWithout(task, input.now);
    case "result":
      return completeTask(task, input, limits);
    case "cancel":
      return cancel(task, input.now);
    case "fence":
      return fence(task, input.now, limits);
    case "tick":
      return tick(task, input.now, limits);
    default:
      return input satisfies never;
  }
}

function lease(task: Task, device: string, now: number, limits: TaskLimits): TaskStep {
  if (task.kind !== "queued") return unchanged(task);
  const token = task.token + 1;
  const attempts = task.attempts + 1;
  const leaseEndsAt = now + limits.leaseMs;
  const deadlineAt = now + task.timeoutMs;
  return {
    state: {
      ...commonOf(task),
      kind: "leased",
      token,
      holder: device,
      attempts,
      device,
      leaseEndsAt,
      deadlineAt,
      cancelRequested: false,
    },
    effects: [
      { kind: "send", device, token, attempt: attempts, leaseMs: limits.leaseMs, timeoutMs: task.timeoutMs },
      { kind: "schedule", at: Math.min(leaseEndsAt, deadlineAt) },
    ],
  };
}

function accept(task: Task, token: number): TaskStep {
  if (!isLeased(task) || token !== task.token) return fencedOrLate(task, token);
  if (task.kind === "leased") return { state: { ...leaseOf(task), kind: "running" }, effects: [] };
  if (task.kind === "unknown") return { state: { ...task, accepted: true }, effects: [] };
  return unchanged(task);
}

function reject(task: Task, token: number, now: number, limits: TaskLimits): TaskStep {
  if (!isLeased(task) || token !== task.token) return unchanged(task);
  // It may have been accepted before the answer got lost, but the node itself says that nothing was done: the attempt
  // does not count.
  const back = { ...commonOf(task), attempts: task.attempts - 1 };
  if (task.cancelRequested) return { state: { ...back, kind: "cancelled", at: now }, effects: [] };
  const until = now + limits.retryBaseMs;
  return { state: { ...back, kind: "retry-wait", until }, effects: [{ kind: "schedule", at: until }] };
}

function breakOff(task: Task, token: number, now: number, limits: TaskLimits): TaskStep {
  // A heartbeat that named it says more than its stream: then the node does run it.
  const mayRun = task.kind === "running" || (task.kind === "unknown" && task.accepted);
  if (!isLeased(task) || token !== task.token || mayRun) return unchanged(task);
  // Nothing was done, but a node that breaks off once does so again: it counts as an attempt, so that it comes to an end.
  return endAttempt(task, "failed", now, limits);
}

function unlisted(task: Task, input: Extract<TaskInput, { kind: "unlisted" }>, limits: TaskLimits): TaskStep {
  if (!isLeased(task) || input.token !== task.token || input.device !== task.device) return unchanged(task);
  // The node lives, so whatever became of the attempt did not take it down.
  return endAttempt(task, "lost", input.now, limits);
}

function renew(task: Task, token: number, device: string, now: number, limits: TaskLimits): TaskStep {
  if (!isLeased(task) || token !== task.token || device !== task.device) {
    return { state: task, effects: [{ kind: "fenced", token }] };
  }
  const isOverdue = now >= task.deadlineAt;
  // What was told to stop has the rest of its lease to do so, and no more: its slot is somebody's.
  const leaseEndsAt = task.cancelRequested ? task.leaseEndsAt : now + limits.leaseMs;
  const state: Task = { ...leaseOf(task), kind: "running", leaseEndsAt };
  const dueAt = isOverdue ? overdueAt(task, limits) : Math.min(leaseEndsAt, task.deadlineAt);
  const effects: TaskEffect[] = [
    { kind: "renewed", token, leaseEndsAt },
    { kind: "schedule", at: task.cancelRequested ? Math.min(leaseEndsAt, dueAt) : dueAt },
  ];
  // Asked while the node was out of reach, or the message got lost: say it again for as long as the attempt lives.
  if (task.cancelRequested || isOverdue) effects.push({ kind: "cancel-attempt", device, token });
  return { state, effects };
}

function nodeLost(task: Task, now: number): TaskStep {
  if (task.kind !== "leased" && task.kind !== "running") return unchanged(task);
  return {
    state: { ...leaseOf(task), kind: "unknown", since: now, gone: false, accepted: task.kind === "running" },
    effects: [],
  };
}

function nodeBackWithout(task: Task, now: number): TaskStep {
  if (!isLeased(task)) return unchanged(task);
  // Its result may be in the outbox that is only now being sent: judged when the lease ends, not here.
  if (task.kind === "unknown") return task.gone ? unchanged(task) : { state: { ...task, gone: true }, effects: [] };
  return {
    state: { ...leaseOf(task), kind: "unknown", since: now, gone: true, accepted: task.kind === "running" },
    effects: [],
  };
}

function cancel(task: Task, now: number): TaskStep {
  if (isTerminal(task)) return { state: task, effects: [{ kind: "cancel-too-late" }] };
  // Nobody works on it: the cancel is the first terminal state, and wins.
  if (!isLeased(task)) return { state: { ...commonOf(task), kind: "cancelled", at: now }, effects: [] };
  return {
    state: { ...task, cancelRequested: true },
    effects: [
      { kind: "cancel-attempt", device: task.device, token: task.token },
      // The node has the rest of its lease to say how the attempt ended.
      { kind: "schedule", at: Math.min(task.leaseEndsAt, task.deadlineAt) },
    ],
  };
}

function fence(task: Task, now: number, limits: TaskLimits): TaskStep {
  const fenced: Task = { ...task, holder: undefined };
  if (!isLeased(fenced)) return unchanged(fenced);
  if (now >= fenced.deadlineAt && !fenced.cancelRequested) return timedOut(fenced, now);
  return endAttempt(fenced, "lost", now, limits);
}

function tick(task: Task, now: number, limits: TaskLimits): TaskStep {
  if (task.kind === "retry-wait") {
    if (now < task.until) return { state: task, effects: [{ kind: "schedule", at: task.until }] };
    return { state: { ...commonOf(task), kind: "queued" }, effects: [] };
  }
  if (!isLeased(task)) return unchanged(task);
  if (task.cancelRequested && now >= task.leaseEndsAt) return endAttempt(task, "lost", now, limits);
  if (now >= task.deadlineAt) return deadlinePassed(task, now, limits);
  if (now < task.leaseEndsAt)
    return { state: task, effects: [{ kind: "schedule", at: Math.min(task.leaseEndsAt, task.deadlineAt) }] };
  return leaseEnded(task, now, limits);
}

/** A node in reach is told to stop. In reach or not, it has a lease longer for its word to arrive; `completeTask` says which word counts. */
function deadlinePassed(task: LeasedTask, now: number, limits: TaskLimits): TaskStep {
  const at = overdueAt(task, limits);
  const cancel: TaskEffect = { kind: "cancel-attempt", device: task.device, token: task.token };
  if (now >= at) return { state: timedOut(task, now).state, effects: [cancel] };
  const next = task.cancelRequested ? Math.min(at, task.leaseEndsAt) : at;
  const schedule: TaskEffect = { kind: "schedule", at: next };
  return { state: task, effects: task.kind === "unknown" ? [schedule] : [cancel, schedule] };
}

function leaseEnded(task: LeasedTask, now: number, limits: TaskLimits): TaskStep {
  const wasGone = task.kind === "unknown" && task.gone;
  // Work that must not run twice is not started elsewhere while its node may yet deliver; only a node that came back
  // without it settles that.
  if (!task.idempotent && !wasGone) {
    const unknown: Task =
      task.kind === "unknown"
        ? task
        : { ...leaseOf(task), kind: "unknown", since: now, gone: false, accepted: task.kind === "running" };
    return { state: unknown, effects: [{ kind: "schedule", at: task.deadlineAt }] };
  }
  // An attempt that never said it runs may just not have reached the node.
  return endAttempt(task, wasGone && task.accepted ? "kills" : "lost", now, limits);
}

function timedOut(task: LeasedTask, now: number): TaskStep {
  return { state: { ...commonOf(task), kind: "timed-out", at: now }, effects: [] };
}

function overdueAt(task: LeasedTask, limits: TaskLimits): number {
  return task.deadlineAt + limits.leaseMs;
}

function fencedOrLate(task: Task, token: number): TaskStep {
  return token < task.token || isTerminal(task)
    ? { state: task, effects: [{ kind: "fenced", token }] }
    : unchanged(task);
}

function leaseOf(task: LeasedTask) {
  const { device, leaseEndsAt, deadlineAt, cancelRequested } = task;
  return { ...commonOf(task), device, leaseEndsAt, deadlineAt, cancelRequested };
}

function unchanged(task: Task): TaskStep {
  return { state: task, effects: [] };
}
