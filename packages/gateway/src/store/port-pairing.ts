import type { PairingRequestRow, WindowRow } from "./rows.ts";

/**
 * Pairing windows, attempts and requests as plain rows. What the states mean belongs to the pairing room; the store offers compare-and-set on them
 * and counts that survive a crash. Part of the Store port.
 */
export interface PairingStore {
  putWindow(row: WindowRow): Promise<void>;
  window(windowId: string): Promise<WindowRow | undefined>;
  windowByCode(codeId: string): Promise<WindowRow | undefined>;
  /** Windows in one of `states`, oldest first. */
  windows(states: readonly string[]): Promise<readonly WindowRow[]>;
  /** Change a window if its state is one of `from`; a sealed code is forgotten. @returns the row after it, or undefined where the state was another */
  moveWindow(input: MoveWindow): Promise<WindowRow | undefined>;

  /**
   * Record an attempt before its proof is judged, so that a crash cannot refund it: it counts as failed until {@link PairingStore.recordProof},
   * but for one with an empty `windowId`, which guessed at nothing.
   * @returns attempts of this gateway since `hourAgo` and `dayAgo`, and of this prefix since `hourAgo`, this one included
   */
  recordAttempt(input: RecordAttempt): Promise<AttemptCounts>;
  /** The proof was wrong: count it against the window; one that guessed at nothing is forgotten. @returns the window with its new `failures` */
  recordFailure(input: { readonly attemptId: string; readonly windowId: string }): Promise<WindowRow | undefined>;
  /** The proof was right: the attempt counts as failed no more. One that is settled already, or that nobody recorded, changes nothing. */
  recordProof(attemptId: string): Promise<void>;
  /**
   * Attempts at such a secret since `hourAgo` and `dayAgo` that have not proved themselves: wrong ones, and those whose judgement a crash prevented. One of which it is not known what it
   * guessed at counts as its window says, and as one at a PIN where that says nothing.
   */
  countFailures(input: CountFailures): Promise<{ readonly hour: number; readonly day: number }>;

  putRequest(row: PairingRequestRow): Promise<void>;
  request(requestId: string): Promise<PairingRequestRow | undefined>;
  /** Requests in one of `states`, oldest first. */
  requests(states: readonly string[]): Promise<readonly PairingRequestRow[]>;
  /** Change a request if its state is one of `from`. @returns the row after it, or undefined where the state was another */
  moveRequest(input: MoveRequest): Promise<PairingRequestRow | undefined>;
}

/** See {@link PairingStore.moveWindow}. */
export interface MoveWindow {
  readonly windowId: string;
  readonly from: readonly string[];
  readonly to: string;
  /** Replaces the body where given; the way to erase a used secret. */
  readonly body?: string;
}

/** See {@link PairingStore.recordAttempt}. */
export interface RecordAttempt {
  readonly attemptId: string;
  /** Empty where the code was unknown, used or another's. */
  readonly windowId: string;
  /** What was guessed at. */
  readonly secret: "pin" | "ticket";
  /** IPv4 /32 or IPv6 /64 the attempt came from. */
  readonly prefix: string;
  readonly at: number;
  readonly hourAgo: number;
  readonly dayAgo: number;
}

/** See {@link PairingStore.countFailures}. */
export interface CountFailures {
  readonly secret: "pin" | "ticket";
  readonly hourAgo: number;
  readonly dayAgo: number;
}

/** See {@link PairingStore.recordAttempt}. */
export interface AttemptCounts {
  readonly hour: number;
  readonly day: number;
  readonly prefixHour: number;
}

/** See {@link PairingStore.moveRequest}. */
export interface MoveRequest {
  readonly requestId: string;
  readonly from: readonly string[];
  readonly to: string;
  readonly now: number;
  readonly deviceId?: string;
  readonly body?: string;
}
