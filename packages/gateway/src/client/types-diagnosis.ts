/** What only the running gateway knows of itself. Times are Unix milliseconds. */
export interface GatewayDiagnosis {
  /** Its clock. */
  readonly time: number | undefined;
  readonly pid: number;
  /** Addresses the mesh endpoint is bound to, host:port. */
  readonly listening: readonly string[];
  readonly maxConnections: number;
  readonly certificates: readonly {
    /** `leaf`, `intermediate` or `root`. */
    readonly name: string;
    readonly notBefore: number | undefined;
    readonly notAfter: number | undefined;
  }[];
  /** Of the pairing endpoint's process. */
  readonly pairing: {
    readonly wanted: boolean;
    readonly pid: number | undefined;
    readonly faults: number;
    readonly lastFault: string | undefined;
    readonly addresses: readonly string[];
  };
  /** Attempts to connect that were refused lately, newest first. */
  readonly refused: readonly RefusedAttemptInfo[];
}

/** An attempt to connect that was refused. */
export interface RefusedAttemptInfo {
  readonly at: number | undefined;
  /** The word that the node says for the same attempt. */
  readonly verdict: string;
  readonly reason: string;
  /** host:port */
  readonly remote: string;
  /** Names the attempt at the node too. */
  readonly attempt: string | undefined;
  readonly device: string | undefined;
  readonly detail: string | undefined;
}
