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
  /** Refused connections by reason, the listener's and `opening`: too many of the device were on the way to a session. */
  readonly refused: Readonly<Record<string, number>>;
  /** What was accepted and then ended by a limit, the listener's reasons and ours. */
  readonly cut: Readonly<Record<string, number>>;
}

/**
 * Why a peer that was let in lost its connection or a stream. `first-frame`: its first frame, or the first of a stream, was not complete in time. `frame-progress`: a later frame was not.
 */
export const SESSION_CUTS = ["first-frame", "frame-progress"] as const;

/** One of {@link SESSION_CUTS}. */
export type SessionCut = (typeof SESSION_CUTS)[number];
