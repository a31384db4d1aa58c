/**
 * What a task can be, as a gateway's ledger holds it. docs/wire.md, "Tasks". Times are the ledger's clock in
 * milliseconds; the machine only compares them.
 */

/** Bounds of a task. */
export interface TaskLimits {
  /** Attempts that ran, after which a task that would be retried is dead. */
  readonly maxAttempts: number;
  /** Attempts that took their node down with them, after which it is dead. */
  readonly maxKills: number;
  /** How long one renewal makes a lease good. */
  readonly leaseMs: number;
  /** First wait before a retry; it doubles with each. */
  readonly retryBaseMs: number;
  readonly retryCapMs: number;
}

/** 5 attempts, 2 kills, leases of 30 s, retries after 1 s to 5 min. */
export const TASK_LIMITS: TaskLimits = {
  maxAttempts: 5,
  maxKills: 2,
  leaseMs: 30_000,
  retryBaseMs: 1000,
  retryCapMs: 300_000,
};

/** What all states of a task know. */
export interface TaskCommon {
  /** The fencing token of the newest lease; 0 before the first. It only grows, by one per lease. */
  readonly token: number;
  /**
   * Who holds the newest lease, or held it: only its word on that token counts. `undefined` before the first lease, and
   * once it is fenced.
   */
  readonly holder: string | undefined;
  /** Attempts that may have run. */
  readonly attempts: number;
  /** Attempts during which the node died. */
  readonly kills: number;
  /** Work that may be repeated without harm; other work is never started twice. */
  readonly idempotent: boolean;
  /** How long an attempt may take as a whole. */
  readonly timeoutMs: number;
}

/** The lease an attempt runs under. */
export interface Lease {
  readonly device: string;
  readonly leaseEndsAt: number;
  /** When the attempt has used up its time. */
  readonly deadlineAt: number;
  /** Set once someone asked for cancellation; the attempt may still win. */
  readonly cancelRequested: boolean;
}

/** How an attempt ended, in the words of `task.result`. */
export type AttemptOutcome = "succeeded" | "failed" | "cancelled" | "timed-out" | "lease-lost";

/** Why a task ended without a result of its own. */
export type TaskEndReason = "attempts" | "kills" | "lost" | "cancelled" | "deadline" | "failed";

/** A task. */
export type Task =
  | (TaskCommon & { readonly kind: "queued" })
  /** Assigned and sent; the node has not said that it runs. */
  | (TaskCommon & Lease & { readonly kind: "leased" })
  | (TaskCommon & Lease & { readonly kind: "running" })
  /**
   * Sent or running when the node went out of reach. `gone`: the node came back and does not run it, though its result
   * may still be on the way.
   */
  | (TaskCommon &
      Lease & { readonly kind: "unknown"; readonly since: number; readonly gone: boolean; readonly accepted: boolean })
  | (TaskCommon & { readonly kind: "retry-wait"; readonly until: number })
  | (TaskCommon & { readonly kind: "succeeded"; readonly at: number; readonly late: boolean })
  | (TaskCommon & {
      readonly kind: "failed";
      readonly at: number;
      readonly late: boolean;
      readonly reason: TaskEndReason;
    })
  | (TaskCommon & { readonly kind: "cancelled"; readonly at: number })
  | (TaskCommon & { readonly kind: "timed-out"; readonly at: number })
  /** Given up: it was tried too often, or took nodes down. */
  | (TaskCommon & { readonly kind: "dead"; readonly at: number; readonly reason: TaskEndReason });

/** The states nothing leaves. */
export type TerminalTask = Extract<Task, { kind: "succeeded" | "failed" | "cancelled" | "timed-out" | "dead" }>;

/** The states in which a node may be working on it. */
export type LeasedTask = Extract<Task, { kind: "leased" | "running" | "unknown" }>;

/** Whether nothing can change a task any more. */
export function isTerminal(task: Task): task is TerminalTask {
  switch (task.kind) {
    case "succeeded":
    case "failed":
    case "cancelled":
    case "timed-out":
    case "dead":
      return true;
    default:
      return false;
  }
}

/** Whether a node may be working on it. */
export function isLeased(task: Task): task is LeasedTask {
  return task.kind === "leased" || task.kind === "running" || task.kind === "unknown";
}

/** A new task. */
export function queueTask(options: { readonly idempotent: boolean; readonly timeoutMs: number }): Task {
  return {
    kind: "queued",
    token: 0,
    holder: undefined,
    attempts: 0,
    kills: 0,
    idempotent: options.idempotent,
    timeoutMs: options.timeoutMs,
  };
}

/** The part of a task that survives a change of state. */
export function commonOf(task: Task): TaskCommon {
  const { token, holder, attempts, kills, idempotent, timeoutMs } = task;
  return { token, holder, attempts, kills, idempotent, timeoutMs };
}
