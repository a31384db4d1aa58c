/**
 * The Store port: everything a gateway keeps. Each method is one atomic unit: it happened and is on disk when the promise resolves, or it rejects and did not
 * happen. SQLite implements it (store/sqlite); one contract suite (test/contract/store.ts) holds for every implementation.
 *
 * Every write may reject with {@link GatewayError} `STORE_FULL`, `STORE_OVERLOADED`, `STORE_CLOSED` or `STORE_FAILED`.
 */
import type { DeviceStore } from "./port-devices.ts";
import type { LineageStore } from "./port-lineage.ts";
import type { AppendedPage, EventStore, SessionStore } from "./port-events.ts";
import type { PairingStore } from "./port-pairing.ts";
import type { PolicyRow, PolicyStore } from "./port-policies.ts";
import type { SubscriptionStore } from "./port-subscriptions.ts";
import type { TaskStore } from "./port-tasks.ts";
import type { TaskRow } from "./rows.ts";

/** What a gateway keeps, by subject. */
export interface Store extends AsyncDisposable {
  readonly meta: MetaStore;
  readonly lineage: LineageStore;
  readonly devices: DeviceStore;
  readonly pairing: PairingStore;
  readonly sessions: SessionStore;
  readonly events: EventStore;
  readonly subscriptions: SubscriptionStore;
  readonly policies: PolicyStore;
  readonly tasks: TaskStore;
  /**
   * Be told of what was committed, in the order of the commits and before the promises of the writers resolve: how subscriptions wake up and the dispatcher learns of tasks. A
   * hint where several gateways share a store. @returns stop listening
   */
  watch(listener: (change: StoreChange) => void): () => void;
  /** What the store is doing, for status and health; no I/O. */
  stats(): StoreStats;
  /** Commit what is queued, then close. Later calls reject `STORE_CLOSED`. Idempotent. */
  close(): Promise<void>;
}

/** What a commit changed: the log's newest offset, and tasks as they are now; neither where it did not concern them. */
export interface StoreChange {
  readonly latest: number | undefined;
  readonly tasks: readonly TaskRow[];
  /** The events that were appended, where `AppendInput.pageWanted`. Its memory is the listener's, of whom there is one then. */
  readonly page?: AppendedPage;
  /** Devices have come, gone, or other labels. */
  readonly devices?: boolean;
  /** The policy is this one now. */
  readonly policy?: PolicyRow;
}

/** Facts about the whole store. */
export interface MetaStore {
  /** Names the event log; drawn once, when the store was made. */
  readonly logId: string;
  /** Grows with every opening; a smaller one than was seen before means an old copy was put back. */
  readonly generation: number;
  get(key: string): Promise<string | undefined>;
  put(key: string, value: string): Promise<void>;
}

/** Counters of a store since it was opened. */
export interface StoreStats {
  /** Writes answered. */
  readonly units: number;
  /** Writes that wait for their commit. */
  readonly queued: number;
  /** `full`: the disk is full; writes are refused until a probe succeeds. */
  readonly state: "ok" | "full" | "closed";
}
