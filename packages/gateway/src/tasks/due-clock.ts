import { sleep, type Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Store } from "../store/port.ts";

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

async function settleDue({ store, clock, leaseMs, signal }: DueClockOptions): Promise<void> {
  for (;;) {
    const now = clock.now();
    const due = await store.tasks.due({ now, limit: PAGE });
    await Promise.all(
      due.map(({ taskId, token }) =>
        store.tasks.step({ taskId, token, inputs: [{ kind: "tick", now }], leaseMs, now }),
      ),
    );
    if (due.length < PAGE || signal.aborted) return;
  }
}
