import { sleep, type Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Store } from "../store/port.ts";
import type { TaskRow } from "../store/rows.ts";
import { stopReason } from "./ledger.ts";

/** How often what is due is looked for. */
const TICK_MS = 1000;
/** Rows looked at in one go. */
const PAGE = 256;

/** What {@link runDueClock} takes. */
export interface DueClockOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly leaseMs: number;
  /** Tell the node of an attempt to stop, where there is a stream to say it on. */
  readonly cancel: (taskId: string, token: number, reason: string) => void;
  /** Whether there is nothing unfinished, hence nothing due. */
  readonly idle: () => boolean;
  readonly signal: AbortSignal;
}

/** Lets time pass for tasks: leases, deadlines and pauses, until the signal aborts. A store that refuses is asked again with the next tick. */
export async function runDueClock(options: DueClockOptions): Promise<void> {
  const { clock, logger, signal } = options;
  while (!signal.aborted) {
    try {
      await sleep(clock, TICK_MS, signal);
    } catch {
      return;
    }
    if (options.idle()) continue;
    try {
      await settleDue(options);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      logger.warn({ code: error.code }, "what is due must wait: the store refuses");
    }
  }
}

async function settleDue(options: DueClockOptions): Promise<void> {
  const { store, clock, signal } = options;
  for (;;) {
    const now = clock.now();
    const due = await store.tasks.due({ now, limit: PAGE });
    await Promise.all(due.map((task) => settle(options, task, now)));
    if (due.length < PAGE || signal.aborted) return;
  }
}

async function settle({ store, leaseMs, cancel }: DueClockOptions, due: TaskRow, now: number): Promise<void> {
  const { taskId, token } = due;
  const stepped = await store.tasks.step({ taskId, token, inputs: [{ kind: "tick", now }], leaseMs, now });
  if (stepped?.effects.some(({ kind }) => kind === "cancel-attempt") === true) {
    cancel(taskId, token, stopReason(stepped.task));
  }
}
