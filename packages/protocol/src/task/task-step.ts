/** Inputs and effects of the task table. */
import type { Step } from "../session/step.ts";
import type { AttemptOutcome, Task } from "./task-state.ts";

/** What happens to a task. */
export type TaskInput =
  /** Assign it to a device. Only a queued task changes. */
  | { readonly kind: "lease"; readonly device: string; readonly now: number }
  /** The node says that the attempt `token` runs. */
  | { readonly kind: "accepted"; readonly token: number; readonly now: number }
  /** The node will not run the attempt `token`: nothing was done. */
  | { readonly kind: "rejected"; readonly token: number; readonly now: number }
  /** The attempt's stream ended before the node accepted it, and without a word of the node's why: nothing was done. */
  | { readonly kind: "broken-off"; readonly token: number; readonly now: number }
  /** Its node has been online for a lease without naming the attempt among those it runs, and no result of it came. */
  | { readonly kind: "unlisted"; readonly token: number; readonly device: string; readonly now: number }
  /** A heartbeat or a hello named the attempt `token` as running. */
  | { readonly kind: "renew"; readonly token: number; readonly device: string; readonly now: number }
  /** The node's session ended. */
  | { readonly kind: "node-lost"; readonly now: number }
  /** The node is back and did not name the attempt among those it runs. */
  | { readonly kind: "node-back-without"; readonly now: number }
  /** A `task.result` event was committed. */
  | {
      readonly kind: "result";
      readonly token: number;
      readonly device: string;
      readonly outcome: AttemptOutcome;
      /** For `failed`: whether another attempt may do better. */
      readonly retryable: boolean;
      readonly now: number;
    }
  | { readonly kind: "cancel"; readonly now: number }
  /** The device was revoked: whatever it still says about the task is stale. */
  | { readonly kind: "fence"; readonly now: number }
  | { readonly kind: "tick"; readonly now: number };

/** What the shell does for a task. */
export type TaskEffect =
  /** Send `task.run` with this token to the device. */
  | {
      readonly kind: "send";
      readonly device: string;
      readonly token: number;
      readonly attempt: number;
      readonly leaseMs: number;
      readonly timeoutMs: number;
    }
  /** Tell the device to stop the attempt. */
  | { readonly kind: "cancel-attempt"; readonly device: string; readonly token: number }
  /** The attempt's lease is good until then. */
  | { readonly kind: "renewed"; readonly token: number; readonly leaseEndsAt: number }
  /** Whoever said that holds no lease: tell it to stop. */
  | { readonly kind: "fenced"; readonly token: number }
  /** What became of a `result`. */
  | { readonly kind: "completion"; readonly verdict: CompletionVerdict }
  /** A cancel came after the task had ended: tell the loser how. */
  | { readonly kind: "cancel-too-late" }
  /** Feed a `tick` at this time; replaces the one before. */
  | { readonly kind: "schedule"; readonly at: number };

/** A task's next state. */
export type TaskStep = Step<Task, TaskEffect>;

/** What became of a result. */
export type CompletionVerdict =
  /** It settled the attempt. */
  | { readonly kind: "stored" }
  /** The task had ended before; this is how. The node may forget its copy. */
  | { readonly kind: "duplicate"; readonly outcome: Task["kind"] }
  /** A newer lease exists, or another device holds this one: the result counts for nothing. */
  | { readonly kind: "fenced"; readonly token: number };
