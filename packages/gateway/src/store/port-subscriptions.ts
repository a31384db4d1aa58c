import type { LogFilter } from "./port-events.ts";

/**
 * Durable subscriptions: a name, a filter and a cursor that the gateway keeps. Part of the Store port.
 *
 * The cursor moves by acknowledgement alone, so that what was delivered and not acknowledged is delivered again. One consumer holds a subscription at a time, under an epoch:
 * {@link SubscriptionStore.open} gives the next one, and with it takes the subscription from whoever held it.
 *
 * Retention asks {@link SubscriptionStore.floor} how far it may go.
 */
export interface SubscriptionStore {
  /**
   * Take a subscription, making it where `create` says how. One transaction.
   * @throws {GatewayError} `SUBSCRIPTION_NOT_FOUND` without `create`; `SUBSCRIPTION_EXISTS` where it has another filter than `create`; `SUBSCRIPTION_LIMIT`;
   * `RESUME_FUTURE` where `create.after` is beyond the log; `RESUME_COMPACTED` (`earliest`, `acked`, `lost`) where it lapsed and events it had not acknowledged are gone: it is
   * taken again with `skipLost`
   */
  open(input: OpenSubscription): Promise<OpenedSubscription>;
  /**
   * Everything up to `offset` is done with. The cursor never goes back. @returns where it is now
   * @throws {GatewayError} `SUBSCRIPTION_TAKEN` (`epoch`) where another consumer holds it; `SUBSCRIPTION_NOT_FOUND`; `RESUME_FUTURE`
   */
  acknowledge(input: AcknowledgeSubscription): Promise<{ readonly acked: number }>;
  get(input: SubscriptionKey): Promise<SubscriptionRow | undefined>;
  /** By owner and name; of one owner where it is given. */
  list(input: { readonly owner?: string }): Promise<readonly SubscriptionRow[]>;
  /** With `epoch`, only where the consumer that has it still holds it. @returns whether there was one */
  remove(input: SubscriptionKey & { readonly epoch?: number }): Promise<boolean>;
  /**
   * How far retention, which would drop everything up to `wanted`, may go: not past what a subscription has yet to acknowledge. One that holds back more than its quota, in the
   * age of its oldest event, in events, or in bytes (the last two counted up to `wanted`), is marked as lapsed, once, and holds nothing back any more. One transaction.
   */
  floor(input: { readonly wanted: number; readonly now: number }): Promise<RetentionFloor>;
}

/** `owner` is `operator` or `device:<id>`; names are unique per owner. */
export interface SubscriptionKey {
  readonly owner: string;
  readonly name: string;
}

/** How much a subscription may hold retention back. */
export interface SubscriptionQuota {
  /** Age of the oldest event that is not acknowledged, by `received`. */
  readonly maxAgeMs: number;
  readonly maxEvents: number;
  /** Of data. */
  readonly maxBytes: number;
}

/** A durable subscription. */
export interface SubscriptionRow extends SubscriptionKey {
  readonly filter: LogFilter;
  readonly createdBy: string;
  readonly createdAt: number;
  /** When a consumer last took it or acknowledged. */
  readonly lastSeenAt: number;
  /** Everything up to this offset is acknowledged. */
  readonly acked: number;
  /** Of the consumer that holds it; 0 before the first. */
  readonly epoch: number;
  readonly quota: SubscriptionQuota;
  readonly lapsed: { readonly at: number; readonly by: LapseReason } | undefined;
}

/** The quota that a lapsed subscription exceeded. */
export type LapseReason = "age" | "events" | "bytes";

/** See {@link SubscriptionStore.open}. */
export interface OpenSubscription extends SubscriptionKey {
  readonly create?: {
    /** The first event is the first after this offset. */
    readonly after: number;
    /** Absent: any that it has, or everything. */
    readonly filter?: LogFilter;
    readonly quota: SubscriptionQuota;
    readonly createdBy: string;
    readonly maxPerOwner: number;
    readonly maxTotal: number;
  };
  /** Go on with what is left where events are gone. */
  readonly skipLost?: boolean;
  readonly now: number;
}

/** See {@link SubscriptionStore.open}. `lost` counts offsets that are gone unread; 0 but with `skipLost`. */
export interface OpenedSubscription {
  readonly subscription: SubscriptionRow;
  readonly created: boolean;
  readonly lost: number;
}

/** See {@link SubscriptionStore.acknowledge}. */
export interface AcknowledgeSubscription extends SubscriptionKey {
  readonly epoch: number;
  readonly offset: number;
  readonly now: number;
}

/** See {@link SubscriptionStore.floor}. */
export interface RetentionFloor {
  /** Everything up to and with this offset may be dropped; at most what was wanted. */
  readonly upTo: number;
  /** Those that hold it back. */
  readonly heldBy: readonly SubscriptionKey[];
  /** Those that have lapsed now: to be told of, loudly. */
  readonly lapsed: readonly SubscriptionRow[];
}
