/** Bounds of pairing. Times in milliseconds. */
export interface PairingLimits {
  /** Life of a window nobody gave another. Default 5 minutes. */
  readonly windowTtlMs: number;
  /** Longest life of a window. Default 1 hour. */
  readonly maxWindowTtlMs: number;
  /** Windows open at once. Default 16. */
  readonly maxWindows: number;
  /** Wrong proofs that burn a code. Default 3. */
  readonly maxFailures: number;
  /** Wrong proofs per gateway. Default 10. */
  readonly maxFailuresPerHour: number;
  /** Wrong proofs per gateway. Default 50. */
  readonly maxFailuresPerDay: number;
  /** Attempts per source prefix (IPv4 /32, IPv6 /64). Default 20. */
  readonly maxAttemptsPerPrefixHour: number;
  /** Devices that said hello and have not proved anything yet. Default 8. */
  readonly maxHalfOpen: number;
  /** Requests that wait for an operator. Default 16. */
  readonly maxPending: number;
  /** From hello to proof. Default 20 s. */
  readonly proveTimeoutMs: number;
  /** How long a request waits for an operator. Default 5 minutes. */
  readonly approvalTimeoutMs: number;
  /** Life of the pairing endpoint's process past the last window. Default 120 s. */
  readonly childLingerMs: number;
  /** Silence after which the process is taken for hung and killed. Default 5 s. */
  readonly childSilenceMs: number;
  /** Heap of the process, MiB. Default 64. */
  readonly childHeapMib: number;
  /** Connections of the pairing endpoint. Default 8. */
  readonly maxConnections: number;
}

/** Defaults of {@link PairingLimits}. */
export const DEFAULT_PAIRING_LIMITS: PairingLimits = {
  windowTtlMs: 300_000,
  maxWindowTtlMs: 3_600_000,
  maxWindows: 16,
  maxFailures: 3,
  maxFailuresPerHour: 10,
  maxFailuresPerDay: 50,
  maxAttemptsPerPrefixHour: 20,
  maxHalfOpen: 8,
  maxPending: 16,
  proveTimeoutMs: 20_000,
  approvalTimeoutMs: 300_000,
  childLingerMs: 120_000,
  childSilenceMs: 5_000,
  childHeapMib: 64,
  maxConnections: 8,
};
