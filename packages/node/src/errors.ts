import type { CloseInfo } from "@quaymesh/protocol";

/**
 * Codes of {@link NodeError}, by who can mend it.
 *
 * The caller: `NODE_ALREADY_RUNNING`, `NODE_STOPPED`, `OPTIONS_INVALID`, `TASK_DEFINITION_INVALID`, `EVENT_TOO_LARGE`, `OUTBOX_FULL`.
 * This machine: `NODE_NOT_PAIRED`, `STATE_UNREADABLE`, `STATE_CORRUPT`, `STATE_VERSION`, `OUTBOX_CORRUPT`, `OUTBOX_IO`, `OUTBOX_DISK_FULL`, `OUTBOX_BEHIND`.
 * The network: `GATEWAY_UNREACHABLE`, `GATEWAY_BUSY`, `SESSION_LOST`.
 * The gateway or its operator: the rest. `PAIR_*` and `DEVICE_REVOKED` are what the gateway answered, docs/wire.md, "Pairing".
 */
export type NodeErrorCode =
  | "NODE_NOT_PAIRED"
  | "NODE_ALREADY_RUNNING"
  | "NODE_STOPPED"
  | "OPTIONS_INVALID"
  | "STATE_UNREADABLE"
  | "STATE_CORRUPT"
  | "STATE_VERSION"
  | "OUTBOX_CORRUPT"
  | "DEVICE_KEY_MISSING"
  | "JOIN_TOKEN_DAMAGED"
  | "OUTBOX_FULL"
  | "OUTBOX_DISK_FULL"
  | "OUTBOX_IO"
  | "OUTBOX_BEHIND"
  | "EVENT_TOO_LARGE"
  | "EVENT_QUARANTINED"
  | "RESUME_COMPACTED"
  | "RESUME_FUTURE"
  | "LOG_CHANGED"
  | "SUBSCRIPTION_TAKEN"
  | "SUBSCRIPTION_EXISTS"
  | "SUBSCRIPTION_LIMIT"
  | "SUBSCRIPTION_NOT_FOUND"
  | "GATEWAY_UNSUPPORTED"
  | "TASK_DEFINITION_INVALID"
  | "GATEWAY_UNREACHABLE"
  | "GATEWAY_BUSY"
  | "GATEWAY_PROTOCOL"
  | "GATEWAY_BEHIND"
  | "GATEWAY_REFUSED"
  | "GATEWAY_UNTRUSTED"
  | "GATEWAY_PIN_MISMATCH"
  | "SESSION_LOST"
  | "DEVICE_REVOKED"
  | "DEVICE_UNKNOWN"
  | "DEVICE_FROZEN"
  | "CERTIFICATE_EXPIRED"
  | "CLOCK_SKEW"
  | "TICKET_EXPIRED"
  | "PAKE_CONFIRM_FAILED"
  | "POSSIBLE_INTERCEPTION"
  | "RENEW_TOO_LATE"
  | "PAIR_CLOSED"
  | "PAIR_VERSION"
  | "PAIR_CODE_INVALID"
  | "PAIR_RATE_LIMITED"
  | "PAIR_CSR_INVALID"
  | "PAIR_KEY_MISMATCH"
  | "PAIR_DENIED"
  | "PAIR_APPROVAL_TIMEOUT"
  | "PAIR_UNAVAILABLE"
  | "PAIR_TIMEOUT"
  | "PAIR_PROTOCOL"
  | "PAIR_FAILED";

/** Facts a code carries besides its message. */
export interface NodeErrorFacts {
  /** How the connection ended, where that is the reason. */
  readonly close?: CloseInfo;
  /** Come back no earlier than this, milliseconds. */
  readonly retryAfterMs?: number;
  /** For people and logs: what was expected, what was seen, which file, which address. */
  readonly details?: Readonly<Record<string, string | number>>;
}

/** What a node throws. Decide by {@link NodeError.code}, never by text. */
export class NodeError extends Error {
  override readonly name = "NodeError";
  readonly code: NodeErrorCode;
  readonly close: CloseInfo | undefined;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, string | number>>;
  constructor(code: NodeErrorCode, message: string, options?: ErrorOptions & NodeErrorFacts) {
    super(message, options);
    this.code = code;
    this.close = options?.close;
    this.retryAfterMs = options?.retryAfterMs;
    this.details = options?.details ?? {};
  }
}
