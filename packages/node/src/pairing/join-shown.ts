import { randomBytes } from "node:crypto";
import {
  formatOwnCode,
  ownCodeIdOf,
  Secret,
  TICKET_SECRET_BYTES,
  type KeyPair,
  type NodeCode,
} from "@quaymesh/identity";
import type { Clock } from "../clock.ts";
import { NodeError, type NodeErrorCode } from "../errors.ts";
import type { JoinResult, JoinStep } from "./options.ts";

/** First and longest pause between two knocks, where the gateway names none. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 5_000;

/** Nobody has scanned the code yet, or the gateway is not to be reached: what waiting may mend. */
const WAITING: ReadonlySet<NodeErrorCode> = new Set([
  "GATEWAY_UNREACHABLE",
  "GATEWAY_BUSY",
  "SESSION_LOST",
  "PAIR_CLOSED",
  "PAIR_RATE_LIMITED",
  "PAIR_UNAVAILABLE",
  "PAIR_TIMEOUT",
  "PAIR_PROTOCOL",
  "PAIR_CODE_INVALID",
  "PAKE_CONFIRM_FAILED",
  "PAIR_APPROVAL_TIMEOUT",
]);

/** What {@link joinShown} works with. */
export interface ShownJoin {
  readonly key: KeyPair;
  readonly clock: Clock;
  readonly onStep?: ((step: JoinStep) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** One attempt, from dialing to the stored identity. */
  readonly attempt: (code: NodeCode, onStep: (step: JoinStep) => void) => Promise<JoinResult>;
}

/**
 * Show this node's own code, and knock until an operator has scanned it and decided.
 * @throws {NodeError} what waiting does not mend; rethrows `signal.reason`
 */
export async function joinShown({ key, clock, onStep, signal, attempt }: ShownJoin): Promise<JoinResult> {
  const secret = new Secret(new Uint8Array(randomBytes(TICKET_SECRET_BYTES)));
  const code: NodeCode = { kind: "node", codeId: ownCodeIdOf(secret), secret };
  onStep?.({ kind: "showing", code: formatOwnCode({ spkiSha256: key.spkiSha256, secret }) });
  let told: NodeErrorCode | undefined;
  try {
    for (let failures = 0; ; failures++) {
      let proved = false;
      // Knocking is not news: only what comes of it.
      const onNews = (step: JoinStep): void => {
        proved ||= step.kind === "proved";
        if (step.kind !== "dialing" && step.kind !== "connected") onStep?.(step);
      };
      try {
        return await attempt(code, onNews);
      } catch (cause) {
        signal?.throwIfAborted();
        if (!(cause instanceof NodeError) || !mayWait(cause, proved)) throw cause;
        if (proved) failures = 0;
        if (cause.code !== told || proved) onStep?.({ kind: "waiting", why: cause.code, message: cause.message });
        told = cause.code;
        const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 8));
        await clock.sleep((cause.retryAfterMs ?? pause / 2) + clock.random() * (pause / 2), signal);
      }
    }
  } finally {
    secret.erase();
  }
}

/** Who has not proved itself decides nothing: its `no` is as good as silence. */
function mayWait({ code }: NodeError, proved: boolean): boolean {
  return WAITING.has(code) || (code === "PAIR_DENIED" && !proved);
}
