import type { LogFilter, QuarantinedRow, ReadQuarantine } from "../store/port-events.ts";
import type { EventRow } from "../store/rows.ts";

/** Where a subscription starts and what it takes. */
export interface SubscribeOptions {
  /** The first event is the first after this offset; 0 is the beginning. */
  readonly after?: number;
  /** Names the log that `after` belongs to; absent or empty skips the check. */
  readonly logId?: string;
  readonly filter?: LogFilter;
  /** Start at the end of the log instead. */
  readonly tail?: boolean;
  readonly signal?: AbortSignal;
}

/** Events in offset order; `events` may be empty when only `caughtUp` moved. Nothing up to `caughtUp` is left to send. */
export interface LogBatch {
  readonly logId: string;
  readonly events: readonly EventRow[];
  readonly caughtUp: number;
}

/** The event log. Replay and live are one path: pages read by offset. */
export interface EventService {
  readonly logId: string;
  /**
   * Batches from a cursor on, without end, until the signal aborts (the loop then ends with its reason) or the gateway closes. The reader's pace is the
   * backpressure: the next page is read when the last one was taken.
   * @throws {GatewayError} `RESUME_COMPACTED`, `RESUME_FUTURE`, `LOG_CHANGED`, `FILTER_INVALID`
   */
  batches(options?: SubscribeOptions): AsyncIterable<LogBatch>;
  /** The same, one event at a time. */
  subscribe(options?: SubscribeOptions): AsyncIterable<EventRow>;
  /** What was set aside because another event was stored under its sequence; newest first. */
  quarantined(input: ReadQuarantine): Promise<readonly QuarantinedRow[]>;
  bounds(): Promise<{ readonly earliest: number; readonly latest: number }>;
}
