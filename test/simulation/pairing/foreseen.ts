/** What a node may be told while everything fails, and strangers are about. */
const FORESEEN = new Set([
  "PAIR_CLOSED",
  "PAIR_CODE_INVALID",
  "PAIR_RATE_LIMITED",
  "PAIR_DENIED",
  "PAIR_APPROVAL_TIMEOUT",
  "PAIR_UNAVAILABLE",
  "PAIR_TIMEOUT",
  "PAIR_PROTOCOL",
  "GATEWAY_UNREACHABLE",
  "GATEWAY_BUSY",
  "SESSION_LOST",
  "DEVICE_REVOKED",
  "RENEW_TOO_LATE",
  "STATE_UNREADABLE",
]);
/** What only somebody in between makes happen. */
const INTERFERENCE = new Set(["GATEWAY_PIN_MISMATCH", "PAKE_CONFIRM_FAILED"]);

/** What only a calendar that moves on makes happen: a certificate that was on its way is over when it comes. */
const LEAPS = new Set(["CLOCK_SKEW"]);

/** What a node may be told for more reasons than faults. */
export interface Hindered {
  /** Somebody sat in between. */
  readonly interfered: boolean;
  /** The calendar has moved on. */
  readonly leapt: boolean;
}

/** Whether a node may be told this. */
export function isForeseen(code: string, { interfered, leapt }: Hindered): boolean {
  return FORESEEN.has(code) || (interfered && INTERFERENCE.has(code)) || (leapt && LEAPS.has(code));
}
