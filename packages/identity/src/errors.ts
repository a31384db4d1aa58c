/**
 * Codes of {@link IdentityError}, and who is at fault.
 *
 * - the caller: `VALUE_INVALID`, `KEY_INVALID`
 * - this machine's state: `STORE_*`, `CA_INVALID`; `ROOT_KEY_OFFLINE` where the root's key is needed and is not here
 * - a backup, or what is to open it: `BACKUP_*`
 * - the operator: `ROOT_KEY_WRONG`, `ROTATION_STATE` for a step that does not follow the one before
 * - the person or the sender of a ticket: `TICKET_*`, `PIN_INVALID`
 * - the peer, or someone in between: `CHAIN_INVALID`, `STATEMENT_REFUSED`, `GATEWAY_PIN_MISMATCH`, `PAKE_CONFIRM_FAILED`, `PAIR_*`
 * - a clock: `CLOCK_SKEW`
 * - nobody, it was decided: `DEVICE_REVOKED`, `RENEW_TOO_LATE`, `PAIR_DENIED`
 */
export type IdentityErrorCode =
  | "VALUE_INVALID"
  | "KEY_INVALID"
  | "STORE_MISSING"
  | "STORE_EXISTS"
  | "STORE_KEY_WRONG"
  | "STORE_TAMPERED"
  | "STORE_PERMISSIONS"
  | "STORE_READ_FAILED"
  | "STORE_WRITE_FAILED"
  | "CA_INVALID"
  | "ROOT_KEY_OFFLINE"
  | "ROOT_KEY_WRONG"
  | "ROTATION_STATE"
  | "STATEMENT_REFUSED"
  | "BACKUP_DAMAGED"
  | "BACKUP_KEY_WRONG"
  | "BACKUP_VERSION"
  | "CHAIN_INVALID"
  | "TICKET_UNREADABLE"
  | "TICKET_MISTYPED"
  | "TICKET_VERSION"
  | "TICKET_EXPIRED"
  | "PIN_INVALID"
  | PairingCode
  | NodePairingCode;

/** What a gateway answers on the pairing stream. docs/wire.md, "Error codes". */
export type PairingCode =
  | "PAIR_CLOSED"
  | "PAIR_VERSION"
  | "PAIR_CODE_INVALID"
  | "PAIR_RATE_LIMITED"
  | "PAIR_CSR_INVALID"
  | "PAIR_KEY_MISMATCH"
  | "PAIR_DENIED"
  | "PAIR_APPROVAL_TIMEOUT"
  | "PAIR_TIMEOUT"
  | "PAIR_UNAVAILABLE"
  | "DEVICE_REVOKED"
  | "DEVICE_UNKNOWN"
  | "DEVICE_FROZEN"
  | "RENEW_TOO_LATE";

/** What a node finds out by itself while pairing. */
export type NodePairingCode = "GATEWAY_PIN_MISMATCH" | "PAKE_CONFIRM_FAILED" | "CLOCK_SKEW" | "PAIR_PROTOCOL";

/** Something about keys, certificates, trust, tickets or pairing is not as it must be. Decide by `code`. */
export class IdentityError extends Error {
  override readonly name = "IdentityError";
  readonly code: IdentityErrorCode;
  /** For `PAIR_RATE_LIMITED`: when another attempt may be heard. */
  readonly retryAfterMs: number | undefined;
  constructor(
    code: IdentityErrorCode,
    message: string,
    options?: ErrorOptions & { readonly retryAfterMs?: number | undefined },
  ) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options?.retryAfterMs;
  }
}
