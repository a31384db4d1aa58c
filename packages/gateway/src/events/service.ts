import type { EncodedEvents } from "@quaymesh/protocol";
import type { LogFilter, QuarantinedRow, ReadQuarantine } from "../store/port-events.ts";
import type { SubscriptionQuota, SubscriptionRow } from "../store/port-subscriptions.ts";
import type { EventRow } from "../store/rows.ts";

/** Where a subscription starts and what it takes. */
export interface SubscribeOptions {
  /** The first event is the first after this offset; 0 is the beginning. */
  readonly after?: number;
  /** Names the log that `after` belongs to; absent or empty skips the check. */
  readonly logId?: string;
  /** Begin no earlier than the first event received then or later, Unix milliseconds. */
  readonly since?: number;
  readonly filter?: LogFilter;
  /** Start at the end of the log instead. */
  readonly tail?: boolean;
  readonly signal?: AbortSignal;
}

/** Events in offset order; `events` may be empty when only `caughtUp` moved. Nothing up to `caughtUp` is left to send; 0 where there is more to come at once. */
export interface LogBatch {
  readonly logId: string;
  readonly events: EncodedEvents;
  readonly caughtUp: number;
  /** The events' bytes are not used any more, so that their memory is free at once. To be called or not. */
  readonly release?: () => void;
}

/** Takes a durable subscription. `after`, `since`, `tail`, `filter` and `quota` are for one that is new; with another filter than its own it is refused. */
export interface ConsumeOptions extends SubscribeOptions {
  readonly name: string;
  readonly createdBy: string;
  readonly quota?: Partial<SubscriptionQuota>;
  /** Do not make it where it is not there. */
  readonly existing?: boolean;
  /** What this consumer was given before its connection broke: not to be sent again. */
  readonly seen?: number;
  /** Go on with what is left where events are gone that were not acknowledged. */
  readonly skipLost?: boolean;
}

/** A batch of a durable subscription; the first says where it stands, and has no events. */
export interface ConsumedBatch extends LogBatch {
  readonly opened?: {
    /** For {@link EventService.acknowledge}. */
    readonly epoch: number;
    readonly acked: number;
    readonly created: boolean;
    /** Events that are gone unread. */
    readonly lost: number;
  };
}

/** A durable subscription as operators see it. */
export interface SubscriptionView extends SubscriptionRow {
  /** Whose it is; undefined for the operators'. */
  readonly deviceId: string | undefined;
  /** Events in the log behind its cursor, whatever its filter. */
  readonly pending: number;
  /** Somebody reads it now. */
  readonly isHeld: boolean;
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
  /**
   * What a durable subscription has not acknowledged, and then what comes. Takes it from whoever reads it.
   * @throws {GatewayError} as `SubscriptionStore.open`; `SUBSCRIPTION_TAKEN`, `SUBSCRIPTION_NOT_FOUND` once another takes or removes it; `SUBSCRIPTION_INVALID`, `FILTER_INVALID`
   */
  consume(options: ConsumeOptions): AsyncIterable<ConsumedBatch>;
  /** Everything up to `offset` is done with. @returns where the cursor is @throws {GatewayError} as `SubscriptionStore.acknowledge` */
  acknowledge(options: { readonly name: string; readonly epoch: number; readonly offset: number }): Promise<number>;
  /** Every durable subscription, of operators and devices. */
  subscriptions(): Promise<readonly SubscriptionView[]>;
  /** Of the operators', or of a device. @throws {GatewayError} `SUBSCRIPTION_NOT_FOUND` */
  removeSubscription(options: { readonly name: string; readonly deviceId?: string }): Promise<void>;
}
