import type { TaskEffect, TaskInput } from "@quaymesh/protocol";
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

  /**
   * Feed inputs to the task's machine, one after the other, and write what comes of it. A lease is refused to a revoked device (`DEVICE_REVOKED`).
   * @returns undefined where there is no such task, or its token is not `token`
   */
  step(input: StepTask): Promise<SteppedTask | undefined>;
  /** A heartbeat: renew the leases a node reports. `fenced` are no longer that node's. */
  renew(input: RenewLeases): Promise<RenewResult>;
  /** A hello: {@link renew}, and every attempt the node does not report is known to be gone. */
  resume(input: RenewLeases): Promise<RenewResult>;
  /** The device's session is over: its attempts are in `unknown`. */
  disconnect(input: { readonly deviceId: string; readonly now: number }): Promise<readonly TaskRow[]>;
  /** The gateway starts: every attempt is in `unknown`, and nothing is given up before its node had `leaseMs` to come back. */
  adopt(input: { readonly leaseMs: number; readonly now: number }): Promise<readonly TaskRow[]>;
  /** Tasks to which something happens by itself at `now` or before: they want a `tick`. */
  due(input: { readonly now: number; readonly limit: number }): Promise<readonly TaskRow[]>;

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
  /** How long it may wait for a node. */
  readonly queueMs: number;
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

/** See {@link TaskStore.step}. */
export interface StepTask {
  readonly taskId: string;
  /** Compare-and-set: the token the caller has seen. */
  readonly token?: number;
  readonly inputs: readonly TaskInput[];
  readonly leaseMs: number;
  readonly now: number;
  /** What the node said, where it rejected the attempt. */
  readonly error?: TaskFailure;
  /** Why someone cancels. */
  readonly reason?: string;
}

/** See {@link TaskStore.step}. */
export interface SteppedTask {
  readonly task: TaskRow;
  readonly changed: boolean;
  readonly effects: readonly TaskEffect[];
}

/** See {@link TaskStore.renew}. */
export interface RenewLeases {
  readonly deviceId: string;
  readonly running: readonly {
    readonly taskId: string;
    readonly token: number;
    readonly progress?: number | undefined;
  }[];
  readonly leaseMs: number;
  readonly now: number;
}

/** See {@link TaskStore.renew}. */
export interface RenewResult {
  readonly renewed: readonly TaskRow[];
  readonly fenced: readonly { readonly taskId: string; readonly token: number }[];
  /** Attempts that the node should stop, and what to tell it: someone cancelled them, or their time is up. */
  readonly cancelled: readonly { readonly taskId: string; readonly token: number; readonly reason: string }[];
}
