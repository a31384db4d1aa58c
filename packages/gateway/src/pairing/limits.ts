import type { PairingLimits as AttemptLimits } from "@quaymesh/identity";

/** Bounds of pairing. Times in milliseconds. */
export interface PairingLimits {
  /** Life of a window nobody gave another. Default 5 minutes. */
  readonly windowTtlMs: number;
  /** Longest life of a window. Default 1 hour. */
  readonly maxWindowTtlMs: number;
  /** The same of one that is pre-approved. Default 7 days. */
  readonly maxPreapprovedTtlMs: number;
  /** Windows open at once. Default 16. */
  readonly maxWindows: number;
  /** Budgets of guesses and requests; see identity's `PAIRING_LIMITS` for the defaults. */
  readonly attempts: Partial<AttemptLimits>;
  /** Bounds of the pairing endpoint's process. */
  readonly endpoint: EndpointLimits;
}

/** Bounds of the pairing endpoint and its process. Times in milliseconds. */
export interface EndpointLimits {
  /** Connections held at once. Default 8. */
  readonly maxConnections: number;
  /** Heap of the process, MiB. Default 64. */
  readonly heapMib: number;
  /** From the start of the process to its open port. Default 10 s. */
  readonly startMs: number;
  /** Silence after which the process is taken for hung and killed. Default 5 s. */
  readonly silenceMs: number;
  /** How long it may stay past the last window, for devices that are still being answered. Default 120 s. */
  readonly lingerMs: number;
  /** Pause before a process that ended unasked is replaced, doubled each time up to 32 times. Default 100 ms. */
  readonly restartMs: number;
}

/** Defaults of {@link PairingLimits}. */
export const DEFAULT_PAIRING_LIMITS: PairingLimits = {
  windowTtlMs: 300_000,
  maxWindowTtlMs: 3_600_000,
  maxPreapprovedTtlMs: 604_800_000,
  maxWindows: 16,
  attempts: {},
  endpoint: {
    maxConnections: 8,
    heapMib: 64,
    startMs: 10_000,
    silenceMs: 5_000,
    lingerMs: 120_000,
    restartMs: 100,
  },
};
