import type { Checkpoint, EncodedEvents, TaskEvent } from "@quaymesh/protocol";
import type { Behind } from "./port-lineage.ts";
import type { SubscriptionKey, SubscriptionRow } from "./port-subscriptions.ts";
import type { CapabilityRow, TaskRow } from "./rows.ts";

/** Sessions of devices: the epochs that fence an old one. Part of the Store port. */
export interface SessionStore {
  /**
   * A device came online: session epoch + 1, its outbox epoch registered, what it says of itself stored; one transaction.
   * @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`
   */
  open(input: OpenSession): Promise<OpenedSession>;
  /** The session is over; an older one than the current changes nothing. */
  close(input: { readonly deviceId: string; readonly sessionEpoch: number; readonly now: number }): Promise<void>;
  /** What a device says it knows of its mesh. */
  noteMesh(input: MeshKnowledge & { readonly deviceId: string }): Promise<void>;
  setCapabilities(input: { readonly deviceId: string; readonly capabilities: readonly CapabilityRow[] }): Promise<void>;
}

/** What a device knows of its mesh: versions of the newest root it trusts, and of the newest move of the gateway it has stored. */
export interface MeshKnowledge {
  readonly rootVersion: number;
  readonly moveVersion: number;
}

/** See {@link SessionStore.open}. */
export interface OpenSession {
  readonly deviceId: string;
  readonly outboxEpoch: Uint8Array;
  readonly software: string;
  readonly platform: string;
  readonly remoteAddress: string;
  readonly capabilities: readonly CapabilityRow[];
  /** Serial of the certificate in use: one issued since a rotation was asked for settles it. */
  readonly serial?: string;
  /** What the hello showed of join tokens, and the one to give. Absent: not looked at. */
  /** Absent: left as it is. */
  readonly mesh?: MeshKnowledge;
  readonly join?: { readonly shown: Uint8Array | undefined; readonly fresh: Uint8Array };
  /** The newest checkpoint the device was given, as its hello showed it. */
  readonly seen?: Checkpoint | undefined;
  readonly now: number;
}

/** See {@link SessionStore.open}. */
export interface OpenedSession {
  readonly sessionEpoch: number;
  /** Last committed sequence of that outbox epoch; 0 is none. */
  readonly ackedSeq: number;
  readonly labels: readonly string[];
  /** An operator wants another certificate than the one in use. */
  readonly rotationDue: boolean;
  /** The hello showed a stale token: no session was opened, and the device is frozen now. The rest means nothing then. */
  readonly frozen: boolean;
  /** The store is older than one that nodes have seen: no session was opened, and the rest means nothing. */
  readonly behind?: Behind;
  /** The hello showed a checkpoint that this gateway has not made. */
  readonly foreignCheckpoint?: boolean;
  /** For the welcome. */
  readonly checkpoint?: Checkpoint;
}

/** The event log. Offsets grow by one in commit order: a reader that has seen n never later finds one below n. Part of the Store port. */
export interface EventStore {
  /**
   * Insert a batch, move the watermark and apply the task reports in it; one transaction. Events up to the watermark are compared with what is stored and dropped.
   * @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_REVOKED` (frames of a revoked device are dropped)
   */
  append(input: AppendInput): Promise<AppendResult>;
  /** Record an event of the gateway's own, about `deviceId`. @returns its offset */
  record(input: RecordInput): Promise<number>;
  /** Last committed sequence of an outbox epoch; 0 is none. */
  watermark(input: { readonly deviceId: string; readonly outboxEpoch: Uint8Array }): Promise<number>;
  /**
   * Up to `limit` events after an offset, in order, that pass the filter, at most `maxBytes` of data together (the first may exceed it).
   * @throws {GatewayError} `EVENT_DAMAGED` with its `offset` where the first to be looked at is not what was stored; a page ends before one
   */
  read(input: ReadEvents): Promise<EventPage>;
  bounds(): Promise<LogBounds>;
  /**
   * Where to begin for a time: the last offset before the first whose `received` is at `since` or later, so that nothing that came then or later, and is kept, is missed. As
   * clocks jump back, what follows may hold older times. The end of the log where nothing is as new. Costs the same whatever the log holds.
   */
  seek(input: { readonly since: number }): Promise<number>;
  /** Drop every event up to and with `offset`, whoever needs it. @returns how many */
  compact(input: { readonly upTo: number }): Promise<number>;
  /**
   * Drop the oldest events that the policy lets go, a small piece per call, or give a small piece of free disk back; one transaction, so no other write waits long. Watermarks stay: what
   * comes again is not stored again. Goes no further than `SubscriptionStore.floor` allows, asked in the same transaction.
   */
  retain(input: RetainInput): Promise<RetainResult>;
  /**
   * Drop a piece of what ended before a moment: tasks with all that belongs to them, pairing windows, attempts and requests, what lies in quarantine. @returns how many rows of
   * these went; 0 when there is nothing left to do
   */
  pruneHistory(input: PruneHistory): Promise<number>;
  /** Hold the events after an offset, `limit` of them at most, against their sums. */
  verify(input: { readonly after: number; readonly limit: number }): Promise<Verified>;
  /** What the log holds; costs the same however long it is. */
  usage(): Promise<LogUsage>;
  /** What came under a sequence that was stored before with another body; newest first. */
  quarantined(input: ReadQuarantine): Promise<readonly QuarantinedRow[]>;
}

/** See {@link EventStore.retain}. */
export interface RetainInput {
  /** Events that came at or before this moment may go; undefined: age is no reason. */
  readonly horizon: number | undefined;
  /** The log may take this much; undefined: any. */
  readonly maxBytes: number | undefined;
  readonly maxEvents: number | undefined;
  /** The wall clock. */
  readonly now: number;
  /** What durable subscriptions are aged by: a clock that no jump of the wall clock pushes. Default: the wall clock. */
  readonly agedAt?: number;
  /** Most events of this call. */
  readonly limit: number;
}

/** See {@link EventStore.retain}. */
export interface RetainResult {
  readonly dropped: number;
  /** Pages given back to the disk. */
  readonly pagesFreed: number;
  /** There is more to do now: call again. */
  readonly more: boolean;
  /** Durable subscriptions that need what the policy would let go. */
  readonly heldBy: readonly SubscriptionKey[];
  /** Those that held more than they may and have lapsed now: to be told of, loudly. */
  readonly lapsed: readonly SubscriptionRow[];
}

/** See {@link EventStore.pruneHistory}. */
export interface PruneHistory {
  readonly before: number;
  /** The wall clock: what budgets of today count stays. */
  readonly now: number;
  /** Most rows of each kind. */
  readonly limit: number;
}

/** See {@link EventStore.quarantined}. */
export interface ReadQuarantine {
  readonly deviceId?: string;
  readonly limit: number;
  /** Only what has a lower id: the next page. */
  readonly beforeId?: number;
}

/** An event set aside: another one is in the log under its sequence. */
export interface QuarantinedRow {
  readonly id: number;
  readonly deviceId: string;
  readonly outboxEpoch: Uint8Array;
  readonly seq: number;
  readonly kind: string;
  readonly time: number;
  readonly received: number;
  readonly data: Uint8Array;
  /** Where the one that was first is in the log; undefined once it is no longer kept. */
  readonly offset: number | undefined;
}

/** See {@link EventStore.verify}. Everything up to `through` is as it was stored, but for `damaged`, which is the last looked at. */
export interface Verified {
  readonly through: number;
  readonly damaged: number | undefined;
  readonly latest: number;
}

/** See {@link EventStore.usage}. */
export interface LogUsage extends LogBounds {
  /** What its events count for; the file may be larger by what is free in it. */
  readonly bytes: number;
  /** When the oldest event came; undefined in an empty log. */
  readonly oldestAt: number | undefined;
  /** The database file, and what of it is free for reuse. */
  readonly fileBytes: number;
  readonly freeBytes: number;
}

/** An event as it goes into the log, with what it says of a task, if it does. */
export interface AppendEvent {
  readonly kind: string;
  readonly time: number;
  readonly data: Uint8Array;
  readonly report?: TaskEvent;
}

/** See {@link EventStore.append}. */
export interface AppendInput {
  readonly deviceId: string;
  readonly outboxEpoch: Uint8Array;
  /** Sequence of the first event, 1 or more. */
  readonly first: number;
  readonly events: readonly AppendEvent[];
  /** A device that holds this much of the log already adds nothing to it. Default: no bound. */
  readonly maxHeldBytes?: number;
  /** Have watchers given what was inserted as a page. Default: not. */
  readonly pageWanted?: boolean;
  readonly now: number;
}

/**
 * `stored`: everything up to `ackedSeq` is committed. Each of `conflicts` is a sequence that was stored before with another body: what came now is in quarantine, of which each device has room for so much only.
 * `expected`: a gap, nothing was stored, send from `seq`. `over-quota`: nothing was stored.
 */
export type AppendResult =
  | {
      readonly kind: "stored";
      readonly ackedSeq: number;
      /** Offset of the newest event in the log. */
      readonly lastOffset: number;
      readonly inserted: number;
      readonly conflicts: readonly number[];
      /** Tasks whose row, log or output changed, as they are now. */
      readonly tasks: readonly TaskRow[];
      /** What was inserted, where that was wanted and a page can be made of it. */
      readonly page?: AppendedPage;
    }
  | { readonly kind: "expected"; readonly seq: number }
  | { readonly kind: "over-quota"; readonly heldBytes: number };

/** Events of one append as they are in the log: one behind the other, without gaps. */
export interface AppendedPage {
  readonly deviceId: string;
  /** Each that occurs. */
  readonly kinds: readonly string[];
  readonly events: EncodedEvents;
}

/** See {@link EventStore.record}. */
export interface RecordInput {
  readonly deviceId: string;
  readonly kind: string;
  readonly data: Uint8Array;
  readonly now: number;
}

/**
 * Which events: exact kinds, or prefixes that end in `*`; devices by id; devices that carry one of the labels when the read is made. Each that is given must pass; empty or
 * absent passes all. A label nobody carries passes nothing.
 */
export interface LogFilter {
  readonly kinds?: readonly string[];
  readonly devices?: readonly string[];
  readonly labels?: readonly string[];
}

/** See {@link EventStore.read}. */
export interface ReadEvents {
  readonly after: number;
  readonly limit: number;
  readonly maxBytes: number;
  readonly filter: LogFilter;
  /** What the reader may see: of these filters one must pass. Absent: everything; none: nothing. */
  readonly grants?: readonly LogFilter[];
}

/** `scannedTo`: nothing up to this offset is left to read with this filter. */
export interface EventPage {
  /** As subscribers are sent them; `eventRows` gives the events. */
  readonly events: EncodedEvents;
  readonly scannedTo: number;
  /** What the log held at this read. */
  readonly earliest: number;
  readonly latest: number;
}

/** What the log holds. `earliest` is 1 in a log that was never compacted, `latest` 0 in an empty one. */
export interface LogBounds {
  readonly earliest: number;
  readonly latest: number;
}
