/**
 * A task's row and the protocol's task machine: the store loads a row, steps it here, and writes the answer in the same transaction. What the machine does not know is added:
 * the deadline in the queue, why it ended in words, and when to look at it again. DESIGN section 7.
 */
import type { Task, TaskEffect, TaskInput } from "@quaymesh/protocol";
import { isLeased, stepTask, TASK_LIMITS } from "@quaymesh/protocol/core";
import { isTerminal, type TaskFailure, type TaskRow } from "../store/rows.ts";

/** How an attempt ended, as its own row says. `lost`: a result may still come, late. */
type AttemptEnd = "succeeded" | "failed" | "cancelled" | "timed-out" | "lease-lost" | "given-back" | "lost" | "fenced";

/** A task after an input. */
export interface LedgerStep {
  readonly task: TaskRow;
  readonly changed: boolean;
  readonly effects: readonly TaskEffect[];
  /** Set when the attempt ended. */
  readonly attemptEnd: AttemptEnd | undefined;
}

/** What a step needs beside its input. */
export interface LedgerContext {
  readonly leaseMs: number;
  readonly now: number;
  /** What the node said went wrong. */
  readonly error?: TaskFailure | undefined;
}

/** Feed `input` to the task in `row`. */
export function stepRow(row: TaskRow, input: TaskInput, context: LedgerContext): LedgerStep {
  if (input.kind === "tick" && row.state === "queued" && row.queueDeadline <= context.now) {
    return {
      task: endRow(row, "timed-out", context.now, NEVER_SENT),
      changed: true,
      effects: [],
      attemptEnd: undefined,
    };
  }
  const before = taskOf(row);
  const { state: after, effects } = stepTask(before, input, {
    ...TASK_LIMITS,
    maxAttempts: row.maxAttempts,
    leaseMs: context.leaseMs,
  });
  if (after === before) return unchanged(row, input, effects);
  const moved = rowOf(row, after, context.now);
  const task = {
    ...moved,
    ...(input.kind === "lease" && NEW_ATTEMPT),
    error: errorOf(row, after, input, context),
    queueDeadline: queueDeadlineOf(row, after, input),
    dueAt: undefined,
  };
  return {
    task: { ...task, dueAt: dueAt(row, task, input, effects, context) },
    changed: true,
    effects,
    attemptEnd: attemptEnd(before, after, input),
  };
}

/** End a task for a reason outside the machine. */
export function endRow(row: TaskRow, state: "timed-out" | "failed", now: number, error: TaskFailure): TaskRow {
  return {
    ...row,
    state,
    stateSince: now,
    error,
    fenced: true,
    leaseUntil: undefined,
    retryAt: undefined,
    dueAt: undefined,
  };
}

/** Whether a node may be working on it. */
export function isWithNode(row: TaskRow): boolean {
  return row.state === "leased" || row.state === "running" || row.state === "unknown";
}

/** What a node is told that should stop the attempt in `row`. */
export function stopReason(row: TaskRow): string {
  return row.cancelRequested ? row.cancelReason : "timed out";
}

function unchanged(row: TaskRow, input: TaskInput, effects: readonly TaskEffect[]): LedgerStep {
  const next = scheduledAt(effects);
  // A tick that came too early, or that has nothing to do yet, says when to come again.
  const task = input.kind === "tick" && next !== undefined ? { ...row, dueAt: next } : row;
  return { task, changed: task.dueAt !== row.dueAt, effects, attemptEnd: undefined };
}

function scheduledAt(effects: readonly TaskEffect[]): number | undefined {
  return effects.find((effect) => effect.kind === "schedule")?.at;
}

const NEW_ATTEMPT = { progress: 0, progressMessage: "", outputBytes: 0, finishedLate: false };

function taskOf(row: TaskRow): Task {
  const common = {
    token: row.token,
    holder: row.fenced ? undefined : row.deviceId,
    attempts: row.attempt,
    kills: row.nodeDeaths,
    idempotent: row.idempotent,
    timeoutMs: row.timeoutMs,
  };
  const at = row.stateSince;
  switch (row.state) {
    case "queued":
      return { ...common, kind: "queued" };
    case "leased":
    case "running":
      return { ...common, ...leaseOf(row), kind: row.state };
    case "unknown":
      return { ...common, ...leaseOf(row), kind: "unknown", since: at, gone: row.gone, accepted: row.accepted };
    case "retry-wait":
      return { ...common, kind: "retry-wait", until: row.retryAt ?? 0 };
    case "succeeded":
      return { ...common, kind: "succeeded", at, late: row.finishedLate };
    case "failed":
      return { ...common, kind: "failed", at, late: row.finishedLate, reason: "failed" };
    case "cancelled":
    case "timed-out":
      return { ...common, kind: row.state, at };
    case "dead":
      return { ...common, kind: "dead", at, reason: "attempts" };
    default:
      return row.state satisfies never;
  }
}

function leaseOf(row: TaskRow) {
  return {
    device: row.deviceId ?? "",
    leaseEndsAt: row.leaseUntil ?? 0,
    deadlineAt: row.attemptDeadline ?? 0,
    cancelRequested: row.cancelRequested,
  };
}

function rowOf(row: TaskRow, task: Task, now: number): TaskRow {
  const leased = isLeased(task) ? task : undefined;
  return {
    ...row,
    state: task.kind,
    stateSince: task.kind === row.state ? row.stateSince : now,
    token: task.token,
    attempt: task.attempts,
    nodeDeaths: task.kills,
    deviceId: leased?.device ?? row.deviceId,
    fenced: task.holder === undefined && task.token > 0,
    leaseUntil: leased?.leaseEndsAt,
    attemptDeadline: leased?.deadlineAt ?? (isTerminal(task.kind) ? row.attemptDeadline : undefined),
    cancelRequested: leased?.cancelRequested ?? row.cancelRequested,
    gone: task.kind === "unknown" && task.gone,
    accepted: task.kind === "unknown" ? task.accepted : task.kind === "running",
    retryAt: task.kind === "retry-wait" ? task.until : undefined,
    progress: task.kind === "succeeded" ? 1 : row.progress,
    finishedLate: task.kind === "succeeded" || task.kind === "failed" ? task.late : row.finishedLate,
  };
}

/** After a real attempt the task has as long to find a node as it had at first; one that was turned down has not started yet. */
function queueDeadlineOf(row: TaskRow, after: Task, input: TaskInput): number {
  return after.kind === "retry-wait" && input.kind !== "rejected" ? after.until + row.queueMs : row.queueDeadline;
}

function dueAt(
  row: TaskRow,
  task: TaskRow,
  input: TaskInput,
  effects: readonly TaskEffect[],
  context: LedgerContext,
): number | undefined {
  if (isTerminal(task.state)) return undefined;
  if (task.state === "queued") return task.queueDeadline;
  // Its result may be on its way out of the outbox: one more lease for it to arrive.
  if (input.kind === "node-back-without") return context.now + context.leaseMs;
  return scheduledAt(effects) ?? row.dueAt;
}

function errorOf(row: TaskRow, after: Task, input: TaskInput, { error }: LedgerContext): TaskFailure | undefined {
  switch (after.kind) {
    case "succeeded":
    case "leased":
    case "running":
      return undefined;
    case "timed-out":
      return TIMED_OUT;
    case "cancelled":
      return error ?? (row.cancelReason === "" ? undefined : { code: "CANCELLED", message: row.cancelReason });
    case "queued":
    case "unknown":
      return row.error;
    case "failed":
    case "dead":
    case "retry-wait":
      return error ?? (input.kind === "result" ? (input.outcome === "lease-lost" ? LEASE_LOST : FAILED) : ATTEMPT_LOST);
    default:
      return after satisfies never;
  }
}

function attemptEnd(before: Task, after: Task, input: TaskInput): AttemptEnd | undefined {
  if (input.kind === "result") return after.kind === "timed-out" ? "timed-out" : input.outcome;
  if (!isLeased(before) || isLeased(after)) return undefined;
  switch (input.kind) {
    case "rejected":
    case "broken-off":
      return "given-back";
    case "unlisted":
    case "tick":
      return isTerminal(after.kind) ? "fenced" : "lost";
    case "fence":
      return "fenced";
    case "lease":
    case "accepted":
    case "renew":
    case "node-lost":
    case "node-back-without":
    case "cancel":
      return undefined;
    default:
      return input satisfies never;
  }
}

/** No node took it in time. */
const NEVER_SENT: TaskFailure = {
  code: "QUEUE_EXPIRED",
  message: "no node took the task in time: it was never sent",
};
/** Its device is revoked. */
export const DEVICE_REVOKED: TaskFailure = { code: "DEVICE_REVOKED", message: "the device is revoked" };
const TIMED_OUT = { code: "TIMED_OUT", message: "the attempt did not end within its time" };
const FAILED = { code: "FAILED", message: "the node gave no reason" };
const LEASE_LOST = { code: "LEASE_LOST", message: "the node stopped the work: it could not renew its lease in time" };
const ATTEMPT_LOST = { code: "ATTEMPT_LOST", message: "the attempt was lost with its node: no result came" };
