/** Bounds of pairing on a gateway. DESIGN section 5, "Budgets". */
export interface PairingLimits {
  /** Wrong proofs that end a code. */
  readonly failuresPerCode: number;
  /** Wrong proofs of PINs in an hour, over all windows; those for a code that is unknown, used or another's are not counted, since they cannot be right. */
  readonly failuresPerHour: number;
  /** The same in a day. */
  readonly failuresPerDay: number;
  /** Wrong proofs of tickets in an hour: a budget of their own, so that who guesses at PINs keeps no ticket out. Their secrets are not to be guessed, so this only bounds the work. */
  readonly ticketFailuresPerHour: number;
  /** The same in a day. */
  readonly ticketFailuresPerDay: number;
  /** Attempts one source prefix may make in a burst that do not end in a proof. */
  readonly sourceBurst: number;
  /** How long until a source prefix gets one of them back. */
  readonly sourceRefillMs: number;
  /** Attempts between hello and judgement, at once. */
  readonly halfOpen: number;
  /** Requests that wait for an operator, at once. */
  readonly pending: number;
  /** From hello to proof. */
  readonly proofMs: number;
  /** From proof to the operator's decision, and again from issuing to the device's first session. */
  readonly approvalMs: number;
  /** How long after its end a certificate is still renewed, on the pairing endpoint. */
  readonly lateRenewalMs: number;
}

const MINUTE_MS = 60_000;

/** An hour, in milliseconds. */
export const HOUR_MS = 60 * MINUTE_MS;
/** A day, in milliseconds. */
export const DAY_MS = 24 * HOUR_MS;

/** The limits a gateway starts with. One source cannot use up the hour: 3 + 4 < 10. */
export const PAIRING_LIMITS: PairingLimits = {
  failuresPerCode: 3,
  failuresPerHour: 10,
  failuresPerDay: 50,
  ticketFailuresPerHour: 200,
  ticketFailuresPerDay: 1000,
  sourceBurst: 3,
  sourceRefillMs: 15 * MINUTE_MS,
  halfOpen: 8,
  pending: 16,
  proofMs: 20_000,
  approvalMs: 5 * MINUTE_MS,
  lateRenewalMs: 180 * DAY_MS,
};

/** How long a node waits for an answer that no person has to give. */
export const NODE_ANSWER_MS = 20_000;
/** How long a node waits for the operator; longer than the gateway does, so that the gateway is the one to say no. */
export const NODE_APPROVAL_MS = 6 * MINUTE_MS;
/** When a node that shows its own code asks again whether an operator has scanned it. */
export const OWN_CODE_RETRY_MS = 2_000;
