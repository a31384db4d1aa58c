/** Live sessions. Every answer about presence comes from here. */
export interface SessionService {
  /** Whether the device is online: welcomed, its session not over, heard within three heartbeats. */
  isOnline(deviceId: string): boolean;
  /** Devices online now. */
  online(): readonly SessionView[];
  stats(): SessionStats;
  /**
   * Resolves once the device is online, at once where it is already: how pairing learns that a certificate is in use. @throws `signal.reason` once aborted; rejects
   * `GATEWAY_DRAINING` when the gateway closes first
   */
  whenOnline(deviceId: string, options?: { readonly signal?: AbortSignal }): Promise<SessionView>;
}

/** A live session. */
export interface SessionView {
  readonly deviceId: string;
  readonly sessionEpoch: number;
  readonly openedAt: number;
  readonly lastHeardAt: number;
  /** `host:port`. */
  readonly remoteAddress: string;
  /** 1-minute load average divided by the cores, as last reported. */
  readonly load: number;
  readonly runningAttempts: number;
}

/** Counters since the gateway opened. */
export interface SessionStats {
  readonly connections: number;
  readonly online: number;
  readonly opened: number;
  readonly superseded: number;
  readonly revoked: number;
  /** Refused connections by reason; `opening`: too many of the device were on the way to a session. */
  readonly refused: Readonly<Record<string, number>>;
}
