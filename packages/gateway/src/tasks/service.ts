import type { TaskLogRow, TaskRow } from "../store/rows.ts";

/** Largest task input, bytes. */
export const MAX_TASK_INPUT_BYTES = 64 * 1024 * 1024;

/** A task as an operator sees it: its row, and its node's name. */
export interface TaskView extends TaskRow {
  readonly deviceName: string | undefined;
}

/** A request for work. */
export interface SubmitOptions {
  readonly definition: string;
  /** `device`: id, unique prefix or unique name. */
  readonly target:
    | { readonly kind: "device"; readonly device: string }
    | { readonly kind: "label"; readonly label: string }
    | { readonly kind: "any" };
  /** One CBOR value, at most 64 MiB. */
  readonly input: Uint8Array;
  /** For one attempt; default 1 h. */
  readonly timeoutMs?: number;
  /** Until a task that never started is given up; default 24 h. */
  readonly queueMs?: number;
  readonly idempotencyKey?: string;
  /** Who submits; idempotency keys belong to a submitter. */
  readonly submitter?: string;
  readonly exclusive?: boolean;
  readonly idempotent?: boolean;
  /** Default 5. */
  readonly maxAttempts?: number;
}

/** One thing that happened to a watched task: it changed, or it logged a line. `task` is as it was then or later, never earlier. */
export type TaskUpdate =
  | { readonly kind: "task"; readonly task: TaskView }
  | { readonly kind: "log"; readonly task: TaskView; readonly log: TaskLogRow };

/** Offloaded work. `task` is an id or a unique prefix of one. */
export interface TaskService {
  /**
   * Committed when this resolves.
   * @throws {GatewayError} `TASK_INVALID`, `TASK_INPUT_TOO_LARGE`, `TASK_QUEUE_FULL`, `IDEMPOTENCY_CONFLICT`, `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS`,
   * `DEVICE_REVOKED`, `GATEWAY_DRAINING`
   */
  submit(options: SubmitOptions): Promise<TaskView>;
  /** @throws {GatewayError} `TASK_NOT_FOUND`, `TASK_AMBIGUOUS` */
  get(task: string): Promise<TaskView>;
  list(options?: { readonly limit?: number; readonly activeOnly?: boolean }): Promise<readonly TaskView[]>;
  /** Ask it to stop; the first committed terminal state wins. @throws {GatewayError} `TASK_NOT_FOUND`, `TASK_ENDED` */
  cancel(task: string, options?: { readonly reason?: string }): Promise<TaskView>;
  /** Log lines from the first, progress and states, until the task has ended; the last update carries the terminal state. */
  watch(task: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<TaskUpdate>;
  /** The output of a task that succeeded, in pieces. @throws {GatewayError} `TASK_NOT_SUCCEEDED` */
  readOutput(task: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<Uint8Array>;
}
