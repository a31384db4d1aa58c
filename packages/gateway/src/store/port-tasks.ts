import type { TaskFailure, TaskLogRow, TaskRow, TaskTarget } from "./rows.ts";

/** Tasks, attempts, log lines and outputs. Part of the Store port. Rows change by compare-and-set on (task, token, not terminal). */
export interface TaskStore {
  /** Commit a task as queued, or find the one its idempotency key names. */
  submit(input: SubmitTask): Promise<SubmitResult>;
  get(taskId: string): Promise<TaskRow | undefined>;
  /** Tasks whose id is or begins with `text`; at most 10. */
  find(text: string): Promise<readonly TaskRow[]>;
  /** Newest first. */
  list(input: { readonly limit: number; readonly activeOnly: boolean }): Promise<readonly TaskRow[]>;
  /** A page of unfinished tasks in order of age: what the dispatcher starts from. */
  unfinished(input: { readonly afterTaskId: string; readonly limit: number }): Promise<readonly TaskRow[]>;

  /** Give a waiting task to a device: token + 1, attempt + 1. @returns undefined where it no longer waits, or the device is revoked */
  lease(input: LeaseTask): Promise<TaskRow | undefined>;
  /** The node accepted: leased -> running. @returns undefined where the token is stale */
  start(input: { readonly taskId: string; readonly token: number; readonly now: number }): Promise<TaskRow | undefined>;
  /** The attempt never ran (rejected, or its stream could not be opened): back to the queue, or dead. */
  giveBack(input: GiveBack): Promise<TaskRow | undefined>;
  /** Renew the leases a node reports; `fenced` are no longer that node's. A task in `unknown` runs again. */
  renew(input: RenewLeases): Promise<RenewResult>;
  /** {@link renew} for a node that is back; attempts it does not report get until `leaseUntil`, for their result may wait in its outbox. */
  resume(input: RenewLeases): Promise<RenewResult>;
  /** The device's session is over: its attempts are in `unknown`. */
  disconnect(input: { readonly deviceId: string; readonly now: number }): Promise<readonly TaskRow[]>;
  /** The gateway starts: every attempt is in `unknown`, and its node has until `leaseUntil` to come back. */
  adopt(input: { readonly leaseUntil: number; readonly now: number }): Promise<readonly TaskRow[]>;
  /** Tasks to which something happens by itself at `now` or before. */
  due(input: { readonly now: number; readonly limit: number }): Promise<readonly TaskRow[]>;
  /** Let it happen to one task. `nodeBack`: its node is online, so it runs what it reports and nothing else. */
  settleDue(input: SettleDue): Promise<TaskRow | undefined>;
  /**
   * Ask a task to stop. One that waits ends at once; so does one whose node is not `reachable`: it is fenced.
   * @returns undefined where it had ended already
   */
  cancel(input: CancelTask): Promise<TaskRow | undefined>;

  /** A piece of the input, 256 KiB but for the last; undefined past the end. */
  readInput(input: { readonly taskId: string; readonly index: number }): Promise<Uint8Array | undefined>;
  /** Pieces of the accepted attempt's output from `index` on, at most `limit`. */
  readOutput(input: {
    readonly taskId: string;
    readonly index: number;
    readonly limit: number;
  }): Promise<readonly Uint8Array[]>;
  readLog(input: {
    readonly taskId: string;
    readonly afterLine: number;
    readonly limit: number;
  }): Promise<readonly TaskLogRow[]>;
}

/** See {@link TaskStore.submit}. */
export interface SubmitTask {
  readonly taskId: string;
  readonly definition: string;
  readonly target: TaskTarget;
  readonly input: Uint8Array;
  readonly timeoutMs: number;
  readonly queueDeadline: number;
  readonly exclusive: boolean;
  readonly idempotent: boolean;
  readonly maxAttempts: number;
  /** Empty: none. */
  readonly idempotencyKey: string;
  /** Who submits; keys belong to a submitter. */
  readonly submitter: string;
  /** Lower-case hex SHA-256 of everything that makes the request what it is. */
  readonly bodyHash: string;
  /** Most unfinished tasks; beyond it `full`. */
  readonly maxUnfinished: number;
  readonly now: number;
}

/** See {@link TaskStore.submit}. */
export type SubmitResult =
  | { readonly kind: "created" | "existing"; readonly task: TaskRow }
  | { readonly kind: "conflict"; readonly taskId: string }
  | { readonly kind: "full" };

/** See {@link TaskStore.lease}. */
export interface LeaseTask {
  readonly taskId: string;
  readonly deviceId: string;
  readonly leaseUntil: number;
  readonly now: number;
}

/** See {@link TaskStore.giveBack}. */
export interface GiveBack {
  readonly taskId: string;
  readonly token: number;
  readonly error: TaskFailure;
  /** Earliest next attempt. */
  readonly retryAt: number;
  /** Whether it counts as an attempt; one that was never sent does not. */
  readonly counted: boolean;
  readonly now: number;
}

/** See {@link TaskStore.cancel}. */
export interface CancelTask {
  readonly taskId: string;
  readonly reason: string;
  readonly reachable: boolean;
  readonly now: number;
}

/** See {@link TaskStore.renew}. */
export interface RenewLeases {
  readonly deviceId: string;
  readonly running: readonly { readonly taskId: string; readonly token: number; readonly progress?: number }[];
  readonly leaseUntil: number;
  readonly now: number;
}

/** See {@link TaskStore.renew}. */
export interface RenewResult {
  readonly renewed: readonly TaskRow[];
  readonly fenced: readonly { readonly taskId: string; readonly token: number }[];
}

/** See {@link TaskStore.settleDue}. */
export interface SettleDue {
  readonly taskId: string;
  readonly token: number;
  readonly nodeBack: boolean;
  readonly now: number;
}
