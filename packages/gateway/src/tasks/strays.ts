import type { Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Store } from "../store/port.ts";
import type { TaskFailure, TaskRow } from "../store/rows.ts";

/** How long to wait before trying again where the store refused. */
const RETRY_MS = 1000;

const RESULT_MISSING: TaskFailure = {
  code: "RESULT_MISSING",
  message: "the node does not run the attempt any more, and no result of it came",
};

/** What {@link Strays} takes. */
export interface StraysOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a result may still be on its way. */
  readonly leaseMs: number;
  /** Own this piece of work. */
  readonly run: (work: () => Promise<void>) => void;
}

interface Stray {
  readonly deviceId: string;
  readonly cancel: () => void;
}

/** Attempts that their node, which is online, does not run any more. Each holds a slot; a lease later, if its result has not come, it ends. */
export class Strays {
  readonly #options: StraysOptions;
  readonly #known = new Map<string, Stray>();

  constructor(options: StraysOptions) {
    this.#options = options;
  }

  /** A heartbeat did not name the attempt. The first time counts. */
  note(task: TaskRow, deviceId: string): void {
    if (!this.#known.has(task.taskId)) this.#endLater(task, deviceId, this.#options.leaseMs);
  }

  /** The attempt is named again, or over. */
  found(taskId: string): void {
    this.#known.get(taskId)?.cancel();
    this.#known.delete(taskId);
  }

  /** The device is out of reach: what it does not say means nothing. */
  forget(deviceId: string): void {
    for (const [taskId, stray] of this.#known) if (stray.deviceId === deviceId) this.found(taskId);
  }

  /** End nothing more. */
  close(): void {
    for (const taskId of this.#known.keys()) this.found(taskId);
  }

  #endLater(task: TaskRow, deviceId: string, delayMs: number): void {
    const { clock, run } = this.#options;
    const cancel = clock.after(delayMs, () => run(() => this.#end(task, deviceId)));
    this.#known.set(task.taskId, { deviceId, cancel });
  }

  async #end(task: TaskRow, deviceId: string): Promise<void> {
    const { store, clock, logger, leaseMs } = this.#options;
    const { taskId, token } = task;
    const now = clock.now();
    const unlisted = { kind: "unlisted", token, device: deviceId, now } as const;
    try {
      await store.tasks.step({ taskId, token, inputs: [unlisted], leaseMs, now, error: RESULT_MISSING });
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      logger.warn({ task: taskId, code: error.code }, "an attempt that is lost must wait: the store refuses");
      if (this.#known.has(taskId)) this.#endLater(task, deviceId, RETRY_MS);
      return;
    }
    this.#known.delete(taskId);
    logger.warn({ task: taskId, device: deviceId, token }, "an attempt ended without a result");
  }
}
