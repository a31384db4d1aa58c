/** How loud a task's log line is. */
export type TaskLogLevel = "debug" | "info" | "warn" | "error";

/** What a running task may use besides its input. */
export interface TaskContext {
  readonly taskId: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /**
   * Aborts with a {@link TaskStop} when the attempt is cancelled, runs out of time, loses its lease, or the node stops. What is returned or
   * thrown after that is no longer looked at.
   */
  readonly signal: AbortSignal;
  /**
   * Report how far the work is. Cheap to call often: at most ten reports a second leave the node, the last one always.
   * @param fraction 0 to 1; outside of it is taken for the nearer end
   * @param message at most 512 characters; longer is cut
   */
  readonly progress: (fraction: number, message?: string) => void;
  /**
   * Write a log line to whoever watches the task; a line above 8192 characters is cut. Lines are dropped, and the drop is logged, while the
   * outbox is nearly full.
   */
  readonly log: (message: string, level?: TaskLogLevel) => void;
  /**
   * Record an event of the application's own.
   * @returns its sequence number, once it is on disk
   * @throws {NodeError} as `Node.publish`
   */
  readonly emit: (kind: string, data: unknown) => Promise<number>;
}

/** Why a task's signal was aborted. */
export type TaskStopReason = "cancelled" | "timed-out" | "lease-lost" | "node-stopping";

/** The `reason` of an aborted {@link TaskContext.signal}. */
export class TaskStop extends Error {
  override readonly name = "TaskStop";
  readonly reason: TaskStopReason;
  constructor(reason: TaskStopReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Thrown by a task's `run` to fail with a code of its own and to say whether another attempt could succeed. */
export class TaskFailure extends Error {
  override readonly name = "TaskFailure";
  /** For the submitter; at most 64 characters. */
  readonly code: string;
  /** Default false. Other errors thrown by `run` count as retryable. */
  readonly retryable: boolean;
  constructor(code: string, message: string, options?: ErrorOptions & { readonly retryable?: boolean }) {
    super(message, options);
    this.code = code;
    this.retryable = options?.retryable ?? false;
  }
}
