/** What the client hands out: plain data, times in Unix milliseconds, states as words. */

/** Where a task is in its life. `unknown`: its node is out of reach since `stateSince`, the attempt may still run there. */
export type TaskStateName =
  | "queued"
  | "leased"
  | "running"
  | "retry-wait"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "timed-out"
  | "dead"
  | "unknown";

/** What a gateway counts. Counters run since `startedAt`; what it holds is as of now. */
export interface GatewayStats {
  readonly startedAt: number | undefined;
  readonly transport: {
    /** Held, half-open and draining ones counted. */
    readonly connections: number;
    readonly halfOpen: number;
    readonly accepted: number;
    /** Datagrams and clients turned away, by reason. */
    readonly refused: Readonly<Record<string, number>>;
    /** What was in and was ended by a limit, by reason. */
    readonly cut: Readonly<Record<string, number>>;
    /** Turns in which a peer's new streams had to wait. */
    readonly throttled: number;
    readonly datagramsReceived: number;
    readonly datagramsSent: number;
    readonly bytesReceived: number;
    readonly bytesSent: number;
    readonly sendErrors: number;
  };
  readonly sessions: {
    readonly online: number;
    readonly opened: number;
    readonly superseded: number;
    readonly revoked: number;
  };
  readonly revocationEpoch: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly tasks: { readonly waiting: number; readonly placed: number; readonly retrying: number };
  /** `state` is `ok`, or `full` while the disk takes no writes. */
  readonly store: { readonly state: string; readonly queued: number };
  readonly log: {
    /** Data, and 96 bytes for each event. */
    readonly bytes: number;
    /** When the oldest event came. */
    readonly oldestAt: number | undefined;
    /** The database file, and what of it is free for reuse. */
    readonly fileBytes: number;
    readonly freeBytes: number;
    /** Bounds; 0 is none. */
    readonly maxAgeMs: number;
    readonly maxBytes: number;
    readonly maxEvents: number;
    readonly dropped: number;
    /** Durable subscriptions that keep what the bounds would let go, owner/name. */
    readonly heldBy: readonly string[];
    /** Durable subscriptions that lapsed, because they held more than they may. */
    readonly lapsed: number;
    /** How far retention is behind the wall clock, which jumped, or while the gateway was off. */
    readonly clockBehindMs: number;
    /** The look for damage: how far it is, and how many events are not what was stored. */
    readonly checkedTo: number;
    readonly damaged: number;
  };
  /** Batches turned away because their device was too fast or held too much of the log, and those that wait for their turn now. */
  readonly ingest: { readonly throttledRate: number; readonly throttledQuota: number; readonly waiting: number };
}

/** A task as the gateway has it now. */
export interface TaskInfo {
  readonly id: string;
  readonly definition: string;
  readonly state: TaskStateName;
  readonly createdAt: number | undefined;
  readonly stateSince: number | undefined;
  /** The node of the latest attempt. */
  readonly device: { readonly id: string; readonly name: string } | undefined;
  /** 0 before the first attempt. */
  readonly attempt: number;
  /** 0 to 1, as last reported. */
  readonly progress: number;
  readonly progressMessage: string;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly error: { readonly code: string; readonly message: string } | undefined;
  /** The result came after the gateway had counted the node out. */
  readonly finishedLate: boolean;
  readonly leaseUntil: number | undefined;
  readonly deadline: number | undefined;
}

/** A line a task logged. */
export interface TaskLog {
  readonly level: string;
  readonly message: string;
  readonly time: number | undefined;
}

/** One change of a task: its state or progress, or a log line. The latest facts are in every update. */
export interface TaskUpdate {
  readonly state: TaskStateName;
  /** 0 to 1. */
  readonly progress: number;
  readonly progressMessage: string;
  /** Set when this update is a log line. */
  readonly log: TaskLog | undefined;
  readonly task: TaskInfo;
}

/** Presence of a device. `new`: paired, never seen online. */
export type DeviceStateName = "new" | "online" | "offline" | "frozen" | "revoked";

/** What a revocation did. */
export interface Receipt {
  readonly receiptId: string;
  readonly deviceId: string;
  readonly deviceName: string;
  readonly revocationEpoch: number;
  readonly sessionsClosed: number;
  readonly attemptsFenced: number;
  readonly tasksRequeued: number;
  /** Pairing windows by which it had come in, and that ended with it: their ids. */
  readonly windowsClosed: readonly string[];
  /** From the request to the last session closed. */
  readonly closedMs: number;
  readonly lastSeq: number;
  readonly revokedAt: number | undefined;
  readonly reason: string;
}

/** A paired device. */
export interface DeviceInfo {
  readonly id: string;
  readonly name: string;
  readonly state: DeviceStateName;
  readonly labels: readonly string[];
  readonly purpose: string;
  readonly platform: string;
  readonly software: string;
  readonly pairedAt: number | undefined;
  readonly lastSeenAt: number | undefined;
  readonly certificateNotAfter: number | undefined;
  /** Another certificate was asked for then, and the device has not used one since. */
  readonly rotationRequestedAt: number | undefined;
  /** Lower-case hex SHA-256 of the device key's SubjectPublicKeyInfo. */
  readonly keyFingerprint: string;
  readonly capabilities: readonly string[];
  readonly runningTasks: number;
  readonly taskSlots: number;
  readonly sessionEpoch: number;
  readonly remoteAddress: string;
  readonly lastSeq: number;
  readonly revocation: Receipt | undefined;
}

/** What a revocation would cut. */
export interface RevocationPreview {
  readonly device: DeviceInfo;
  readonly sessions: number;
  readonly runningTasks: number;
  readonly queuedTasks: number;
}

/** Devices that are not revoked: those with a label, or those whose newest certificate was issued before a moment, Unix milliseconds. */
export type DeviceSelector = { readonly label: string } | { readonly issuedBefore: number };

/** What a revocation of many did. */
export interface BulkReceipt {
  readonly receipts: readonly Receipt[];
  /** Ids of devices that were selected and no longer were when their turn came: left alone. */
  readonly spared: readonly string[];
}

/** What came of having a device take another certificate. Pending: it is asked when it connects. */
export interface RotationResult {
  readonly state: "rotated" | "pending-offline" | "pending-silent";
}

/** An event as the gateway's log holds it. */
export interface EventRecord<T = unknown> {
  readonly offset: number;
  readonly deviceId: string;
  readonly outboxEpoch: Uint8Array;
  readonly seq: number;
  readonly kind: string;
  /** The node's clock. */
  readonly time: number | undefined;
  /** The gateway's clock at commit. */
  readonly received: number | undefined;
  /** The decoded value; `undefined` for an empty body and for one that is not in the CBOR profile (`bytes` has it as it came). */
  readonly data: T;
  /** The body as it came: one CBOR value. */
  readonly bytes: Uint8Array;
  /** Names the log `offset` belongs to. */
  readonly logId: string;
  /** This place as text: give it as `after` to go on behind this event. */
  readonly cursor: string;
}

/** An event that was set aside: under its sequence another one was stored before. */
export interface QuarantinedEvent extends Omit<EventRecord, "offset" | "logId" | "cursor"> {
  readonly id: number;
  /** Where the event that was first is in the log; undefined once it is no longer kept. */
  readonly offset: number | undefined;
}

/** The gateway itself. */
export interface GatewayStatus {
  readonly meshId: string;
  readonly meshName: string;
  readonly version: string;
  readonly startedAt: number | undefined;
  /** Where nodes dial, host:port. */
  readonly meshAddresses: readonly string[];
  readonly rootFingerprint: string;
  readonly revocationEpoch: number;
  readonly devices: number;
  readonly online: number;
  readonly lastOffset: number;
  readonly logId: string;
  /** Connections refused since the start, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  readonly pairingOpen: boolean;
  readonly connections: number;
  /** Set where nodes have shown a later state of this mesh than the gateway has: it serves nobody. */
  readonly behind: BehindInfo | undefined;
}

/** How a gateway's state is known to be older than one that nodes have seen. */
export interface BehindInfo {
  /** Who showed it first, and when: Unix milliseconds. */
  readonly deviceId: string;
  readonly at: number | undefined;
  readonly revocationEpoch: number;
  readonly offset: number;
  readonly seenRevocationEpoch: number;
  readonly seenOffset: number;
  /** Devices known to have been revoked since. */
  readonly revoked: readonly string[];
}
