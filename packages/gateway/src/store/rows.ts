/** Rows as they cross the Store port: plain data, times in Unix milliseconds, ids as text, keys and hashes as bytes or lower-case hex. */

/** A paired device. */
export interface DeviceRow {
  readonly deviceId: string;
  readonly name: string;
  readonly labels: readonly string[];
  readonly purpose: string;
  readonly platform: string;
  readonly software: string;
  /** Lower-case hex SHA-256 of the key's SubjectPublicKeyInfo. */
  readonly spkiSha256: string;
  readonly pairedAt: number;
  readonly lastSeenAt: number | undefined;
  readonly remoteAddress: string;
  readonly capabilities: readonly CapabilityRow[];
  readonly sessionEpoch: number;
  readonly revoked: boolean;
  /** Last sequence committed in the current outbox epoch. */
  readonly lastSeq: number;
  /** Of the latest active certificate. */
  readonly certificateNotAfter: number | undefined;
  /** An operator asked for another certificate then, and none issued since has been used. */
  readonly rotationRequestedAt: number | undefined;
  /** Set aside since then, until an operator has decided. */
  readonly frozenAt: number | undefined;
  /** Of the newest root of the mesh that it says it trusts. */
  readonly rootVersion: number;
  /** Of the newest move of the gateway that it says it has stored. */
  readonly moveVersion: number;
}

/** What a node offers: a task definition's name, and how many attempts of it run at once. */
export interface CapabilityRow {
  readonly name: string;
  readonly concurrency: number | undefined;
}

/** A certificate issued to a device. A device is positively enrolled by device id + SPKI + serial. */
export interface CertificateRow {
  /** Lower-case hex. */
  readonly serial: string;
  readonly deviceId: string;
  readonly spkiSha256: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly issuedAt: number;
  readonly state: "active" | "retired" | "revoked";
  /** Chain in DER, leaf first, root not included; so that issuing is idempotent. */
  readonly chain: readonly Uint8Array[];
}

/** What a revocation did. Written once; a repeat reads it back. */
export interface ReceiptRow {
  readonly receiptId: string;
  readonly deviceId: string;
  readonly deviceName: string;
  readonly revocationEpoch: number;
  readonly sessionsClosed: number;
  readonly attemptsFenced: number;
  readonly tasksRequeued: number;
  /** From the request to the last session closed. */
  readonly closedMs: number;
  readonly lastSeq: number;
  readonly revokedAt: number;
  readonly reason: string;
  /** Pairing windows by which it had come in, and that ended with it: their ids. */
  readonly windowsClosed: readonly string[];
}

/** A pairing window. The store knows its identity, state and times; `body` is the pairing room's own JSON. */
export interface WindowRow {
  readonly windowId: string;
  /** Lower-case hex; undefined with a PIN. */
  readonly codeId: string | undefined;
  readonly state: string;
  readonly openedAt: number;
  readonly expiresAt: number;
  /** Wrong proofs so far. */
  readonly failures: number;
  /** Devices it still lets in. */
  readonly usesLeft: number;
  /** Its code, sealed, where the window is to outlive the gateway's process; forgotten as soon as it is not open any more. */
  readonly sealedCode: Uint8Array | undefined;
  readonly body: string;
}

/** A pairing request that came in through a window. `body` is the pairing room's own JSON. */
export interface PairingRequestRow {
  readonly requestId: string;
  readonly windowId: string;
  readonly state: string;
  readonly requestedAt: number;
  readonly updatedAt: number;
  readonly deviceId: string | undefined;
  readonly body: string;
}

/** An event as the log holds it. */
export interface EventRow {
  readonly offset: number;
  readonly deviceId: string;
  /** 16 bytes; all zero for what the gateway itself records. */
  readonly outboxEpoch: Uint8Array;
  readonly seq: number;
  readonly kind: string;
  readonly time: number;
  readonly received: number;
  readonly data: Uint8Array;
}

/** States of a task. `unknown`: the node is out of reach since `stateSince`; the attempt may still run there. */
export const TASK_STATES = [
  "queued",
  "leased",
  "running",
  "retry-wait",
  "succeeded",
  "failed",
  "cancelled",
  "timed-out",
  "dead",
  "unknown",
] as const;
/** One of {@link TASK_STATES}. */
export type TaskState = (typeof TASK_STATES)[number];

/** Whether a task in this state has ended for good. */
export function isTerminal(state: TaskState): boolean {
  return (
    state === "succeeded" || state === "failed" || state === "cancelled" || state === "timed-out" || state === "dead"
  );
}

/** Where a task may run. */
export type TaskTarget =
  | { readonly kind: "device"; readonly deviceId: string }
  | { readonly kind: "label"; readonly label: string }
  | { readonly kind: "any" };

/** A task. */
export interface TaskRow {
  readonly taskId: string;
  readonly definition: string;
  readonly target: TaskTarget;
  readonly state: TaskState;
  readonly createdAt: number;
  readonly stateSince: number;
  /** Node of the latest attempt. */
  readonly deviceId: string | undefined;
  /** 0 before the first attempt. */
  readonly attempt: number;
  /** Fencing token: grows with every lease of this task. */
  readonly token: number;
  /** Attempts that took their node down with them. */
  readonly nodeDeaths: number;
  readonly progress: number;
  readonly progressMessage: string;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly error: TaskFailure | undefined;
  readonly finishedLate: boolean;
  readonly cancelRequested: boolean;
  readonly cancelReason: string;
  /** Nothing its node still says counts. */
  readonly fenced: boolean;
  /** In `unknown`: the node came back and does not run it. */
  readonly gone: boolean;
  /** The node said that the attempt runs. */
  readonly accepted: boolean;
  readonly leaseUntil: number | undefined;
  /** When the current attempt must be over. */
  readonly attemptDeadline: number | undefined;
  /** When a task that never started is given up. */
  readonly queueDeadline: number;
  /** Earliest next attempt, in `retry-wait`. */
  readonly retryAt: number | undefined;
  /** When something happens to it by itself; undefined once it has ended. */
  readonly dueAt: number | undefined;
  readonly timeoutMs: number;
  /** How long it may wait for a node. */
  readonly queueMs: number;
  readonly exclusive: boolean;
  readonly idempotent: boolean;
  readonly maxAttempts: number;
  /** Log lines so far. */
  readonly logLines: number;
}

/** Why a task failed. */
export interface TaskFailure {
  readonly code: string;
  readonly message: string;
}

/** A line a task logged; `line` counts from 1 within its task. */
export interface TaskLogRow {
  readonly line: number;
  readonly attempt: number;
  readonly level: string;
  readonly message: string;
  readonly time: number;
}
