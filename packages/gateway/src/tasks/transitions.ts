/**
 * What may happen to a task, as pure functions of its row: the store loads a row, asks here, and writes the answer in the same transaction. `undefined` means that nothing
 * changes: the token is stale, or a terminal state was committed before. DESIGN section 7.
 */
import { isTerminal, type TaskFailure, type TaskRow, type TaskState } from "../store/rows.ts";

/** How an attempt ended, as its own row says. `lost`: a result may still come, late. */
export type AttemptOutcome =
  | "succeeded"
  | "failed"
  | "cancelled"
  | "timed-out"
  | "lease-lost"
  | "given-back"
  | "lost"
  | "fenced";

/** A task's next row, and how its attempt ended if it did. */
export interface TaskChange {
  readonly task: TaskRow;
  readonly attempt?: AttemptOutcome;
}

/** Attempts that took their node down before a task is dead. */
export const MAX_NODE_DEATHS = 2;
/** How long after its deadline an attempt's own report is waited for. */
export const DEADLINE_GRACE_MS = 10_000;
/** First pause before another attempt; it doubles up to {@link MAX_RETRY_DELAY_MS}. */
export const RETRY_DELAY_MS = 1000;
/** Longest pause before another attempt. */
export const MAX_RETRY_DELAY_MS = 60_000;

/** The earliest moment at which something happens to a task by itself; undefined once it has ended. */
export function dueAt(task: TaskRow): number | undefined {
  const deadline = (task.attemptDeadline ?? Infinity) + DEADLINE_GRACE_MS;
  switch (task.state) {
    case "queued":
      return task.queueDeadline;
    case "retry-wait":
      return task.retryAt;
    case "leased":
    case "running":
      return Math.min(task.leaseUntil ?? Infinity, deadline);
    case "unknown":
      // While its node has time to come back, its word is waited for, even past the deadline: the work may be done, and the result on its way.
      return task.leaseUntil ?? deadline;
    case "succeeded":
    case "failed":
    case "cancelled":
    case "timed-out":
    case "dead":
      return undefined;
    default:
      return task.state satisfies never;
  }
}

/** Whether a task waits for a node at `now`. */
export function isWaiting(task: TaskRow, now: number): boolean {
  return task.state === "queued" || (task.state === "retry-wait" && (task.retryAt ?? 0) <= now);
}

/** Whether an attempt of the task is with a node, as far as is known. */
export function isWithNode(task: TaskRow): boolean {
  return task.state === "leased" || task.state === "running" || task.state === "unknown";
}

/** Give a waiting task to a device. */
export function lease(
  task: TaskRow,
  input: { readonly deviceId: string; readonly leaseUntil: number; readonly now: number },
): TaskChange | undefined {
  if (!isWaiting(task, input.now) || task.cancelRequested) return undefined;
  return {
    task: {
      ...moved(task, "leased", input.now),
      deviceId: input.deviceId,
      attempt: task.attempt + 1,
      token: task.token + 1,
      leaseUntil: input.leaseUntil,
      attemptDeadline: input.now + task.timeoutMs,
      retryAt: undefined,
      progress: 0,
      progressMessage: "",
      outputBytes: 0,
      error: undefined,
    },
  };
}

/** The node accepted the attempt. */
export function start(task: TaskRow, token: number, now: number): TaskChange | undefined {
  if (task.token !== token || (task.state !== "leased" && task.state !== "unknown")) return undefined;
  return { task: moved(task, "running", now) };
}

/** The attempt never ran. */
export function giveBack(
  task: TaskRow,
  input: {
    readonly token: number;
    readonly error: TaskFailure;
    readonly retryAt: number;
    readonly counted: boolean;
    readonly now: number;
  },
): TaskChange | undefined {
  if (task.token !== input.token || !isWithNode(task)) return undefined;
  if (task.cancelRequested) return { task: ended(task, "cancelled", input.now), attempt: "given-back" };
  if (input.counted && task.attempt >= task.maxAttempts) {
    return { task: ended(task, "dead", input.now, input.error), attempt: "given-back" };
  }
  const attempt = input.counted ? task.attempt : task.attempt - 1;
  return {
    task: { ...waitAgain(task, input.now, input.retryAt), attempt, error: input.error },
    attempt: "given-back",
  };
}

/** The node reports the attempt as running. */
export function renew(
  task: TaskRow,
  input: { readonly token: number; readonly leaseUntil: number; readonly progress?: number; readonly now: number },
): TaskChange | undefined {
  if (task.token !== input.token || !isWithNode(task)) return undefined;
  const running = task.state === "unknown" ? moved(task, "running", input.now) : task;
  return { task: { ...running, leaseUntil: input.leaseUntil, progress: input.progress ?? task.progress } };
}

/** The node's session is over, or the gateway has just started. */
export function disconnect(task: TaskRow, now: number, leaseUntil = task.leaseUntil): TaskChange | undefined {
  if (!isWithNode(task)) return undefined;
  const unknown = task.state === "unknown" ? task : moved(task, "unknown", now);
  return { task: { ...unknown, leaseUntil } };
}

/** What the node says the attempt came to. */
export interface AttemptResult {
  readonly token: number;
  readonly outcome: "succeeded" | "failed" | "cancelled" | "timed-out" | "lease-lost";
  readonly outputBytes: number;
  readonly error: (TaskFailure & { readonly retryable: boolean }) | undefined;
  readonly now: number;
}

/** Compare-and-set on (task, token, not terminal): the first result in is the one that counts. */
export function finish(task: TaskRow, result: AttemptResult): TaskChange | undefined {
  if (task.token !== result.token || !(isWithNode(task) || task.state === "retry-wait")) return undefined;
  const { now, outcome } = result;
  const finishedLate = task.state === "retry-wait" || (task.leaseUntil ?? -Infinity) < now;
  const known = { ...task, finishedLate, outputBytes: result.outputBytes };
  const error = result.error === undefined ? undefined : { code: result.error.code, message: result.error.message };
  switch (outcome) {
    case "succeeded":
      return { task: { ...ended(known, "succeeded", now), progress: 1 }, attempt: outcome };
    case "cancelled":
      return { task: ended(known, "cancelled", now, error), attempt: outcome };
    case "timed-out":
      return { task: ended(known, "timed-out", now, error ?? timedOut), attempt: outcome };
    case "failed":
      if (result.error?.retryable === true) return { task: again(known, now, error ?? failed), attempt: outcome };
      return { task: ended(known, "failed", now, error ?? failed), attempt: outcome };
    case "lease-lost":
      if (task.idempotent) return { task: again(known, now, error ?? leaseLost), attempt: outcome };
      return { task: ended(known, "failed", now, error ?? leaseLost), attempt: outcome };
    default:
      return outcome satisfies never;
  }
}

/** Someone wants the task to stop. */
export function cancel(
  task: TaskRow,
  input: { readonly reason: string; readonly reachable: boolean; readonly now: number },
): TaskChange | undefined {
  if (isTerminal(task.state)) return undefined;
  const asked = { ...task, cancelRequested: true, cancelReason: input.reason };
  // A node that hears us decides itself, and may be done already; for one that doesn't, the decision is ours and its attempt is fenced.
  if (isWithNode(task) && input.reachable) return { task: asked };
  const stopped = ended(asked, "cancelled", input.now);
  return isWithNode(task) ? { task: stopped, attempt: "fenced" } : { task: stopped };
}

/** Time has passed: leases, deadlines and pauses. */
export function settleDue(
  task: TaskRow,
  input: { readonly token: number; readonly nodeBack: boolean; readonly now: number },
): TaskChange | undefined {
  const due = dueAt(task);
  if (task.token !== input.token || due === undefined || due > input.now) return undefined;
  if (task.state === "queued") return { task: ended(task, "timed-out", input.now, neverSent) };
  if (task.state === "retry-wait") return { task: { ...moved(task, "queued", input.now), retryAt: undefined } };
  const deadline = (task.attemptDeadline ?? Infinity) + DEADLINE_GRACE_MS;
  if (deadline <= input.now) return { task: ended(task, "timed-out", input.now, timedOut), attempt: "fenced" };
  return leaseExpired(task, input);
}

/** The device is revoked: what it runs is fenced, and what only it may run has nowhere to go. */
export function revokeDevice(task: TaskRow, now: number): TaskChange | undefined {
  if (isTerminal(task.state)) return undefined;
  const withNode = isWithNode(task);
  // The token moves on, so that nothing signed with the old one is ever taken.
  const fenced = withNode ? { ...task, token: task.token + 1 } : task;
  const attempt = withNode ? { attempt: "fenced" as const } : {};
  if (task.cancelRequested) return { task: ended(fenced, "cancelled", now), ...attempt };
  const mayMove = task.target.kind !== "device" && (task.idempotent || task.state === "leased" || !withNode);
  if (!mayMove) return { task: ended(fenced, "failed", now, deviceRevoked), ...attempt };
  if (!withNode) return undefined;
  return {
    task: task.attempt >= task.maxAttempts ? ended(fenced, "dead", now, deviceRevoked) : waitAgain(fenced, now, now),
    ...attempt,
  };
}

function leaseExpired(task: TaskRow, input: { readonly nodeBack: boolean; readonly now: number }): TaskChange {
  const { now, nodeBack } = input;
  if (task.cancelRequested) return { task: ended(task, "cancelled", now), attempt: "fenced" };
  // A node that is here and doesn't report the attempt has lost it, most likely by dying.
  const nodeDeaths = nodeBack ? task.nodeDeaths + 1 : task.nodeDeaths;
  const counted = { ...task, nodeDeaths };
  if (task.idempotent) return { task: again(counted, now, attemptLost), attempt: "lost" };
  if (nodeBack) return { task: ended(counted, "failed", now, attemptLost), attempt: "lost" };
  // It may still run there, and must not run twice: wait for its word until the attempt's deadline.
  const unknown = task.state === "unknown" ? task : moved(task, "unknown", now);
  return { task: { ...unknown, leaseUntil: undefined } };
}

function again(task: TaskRow, now: number, error: TaskFailure): TaskRow {
  if (task.cancelRequested) return ended(task, "cancelled", now, error);
  if (task.attempt >= task.maxAttempts || task.nodeDeaths >= MAX_NODE_DEATHS) return ended(task, "dead", now, error);
  const delay = Math.min(MAX_RETRY_DELAY_MS, RETRY_DELAY_MS * 2 ** Math.min(task.attempt - 1, 16));
  return { ...waitAgain(task, now, now + delay), error };
}

function waitAgain(task: TaskRow, now: number, retryAt: number): TaskRow {
  return {
    ...moved(task, "retry-wait", now),
    retryAt,
    leaseUntil: undefined,
    attemptDeadline: undefined,
    // It has as long to find a node as it had at first.
    queueDeadline: now + (task.queueDeadline - task.createdAt),
    finishedLate: false,
  };
}

function ended(task: TaskRow, state: TaskState, now: number, error?: TaskFailure): TaskRow {
  return { ...moved(task, state, now), leaseUntil: undefined, retryAt: undefined, error };
}

function moved(task: TaskRow, state: TaskState, now: number): TaskRow {
  return { ...task, state, stateSince: now };
}

const neverSent = { code: "QUEUE_EXPIRED", message: "no node took the task in time: it was never sent" };
const timedOut = { code: "TIMED_OUT", message: "the attempt did not end within its time" };
const failed = { code: "FAILED", message: "the node gave no reason" };
const leaseLost = { code: "LEASE_LOST", message: "the node stopped the work: it could not renew its lease in time" };
const attemptLost = { code: "ATTEMPT_LOST", message: "the node no longer runs the attempt, and sent no result" };
const deviceRevoked = { code: "DEVICE_REVOKED", message: "the device is revoked" };
