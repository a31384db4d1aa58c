import type { DialVerdict } from "../transport/close.ts";

/** Bounds of {@link backoffMs}. */
export interface BackoffLimits {
  /** The first window, milliseconds. */
  readonly baseMs: number;
  /** The largest window, milliseconds. */
  readonly capMs: number;
}

/** Windows of 0.5 s, 1 s, 2 s, … 60 s. */
export const BACKOFF_LIMITS: BackoffLimits = { baseMs: 500, capMs: 60_000 };

/**
 * Exponential backoff with full jitter: anywhere in a window that doubles. A thousand nodes cut off together then come
 * back spread out.
 * @param attempt failures so far, 1 after the first
 * @param random in [0, 1)
 * @param retryAfterMs what the peer asked for; the wait is that long at least, and jitter comes on top
 * @returns milliseconds to wait
 */
export function backoffMs(attempt: number, random: number, retryAfterMs = 0, limits = BACKOFF_LIMITS): number {
  // Beyond 2^30 the window is the cap anyway, and the shift stays finite.
  const doublings = Math.min(Math.max(attempt - 1, 0), 30);
  const windowMs = Math.min(limits.capMs, limits.baseMs * 2 ** doublings);
  return Math.round(retryAfterMs + random * windowMs);
}

/** Why a node stops dialing: more of the same cannot succeed, someone has to act. */
export type StopReason = Extract<DialVerdict, "revoked" | "unknown" | "untrusted" | "wrong-protocol">;

/** What to do after a connection failed or ended. */
export type RedialPlan =
  | { readonly kind: "retry"; readonly afterMs: number }
  | { readonly kind: "stop"; readonly reason: StopReason };

/**
 * Whether to dial again, and when.
 * @param verdict how the last connection ended; `other` where there was none
 * @param attempt failures in a row, this one counted; a session that lasted starts again at 1
 */
export function planRedial(
  verdict: DialVerdict,
  attempt: number,
  random: number,
  options?: { readonly retryAfterMs?: number; readonly limits?: BackoffLimits },
): RedialPlan {
  const limits = options?.limits ?? BACKOFF_LIMITS;
  switch (verdict) {
    case "revoked":
    case "unknown":
    case "untrusted":
    case "wrong-protocol":
      return { kind: "stop", reason: verdict };
    // Only an operator can change that, and nobody needs to hear of it every second.
    case "frozen":
    case "behind":
    case "superseded":
      // Another process holds this identity. Dialing at once would cut it off, and it us, without end.
      return { kind: "retry", afterMs: backoffMs(attempt, random, limits.capMs, limits) };
    case "busy":
    // A clock may be set, and another certificate asked for; who can do neither stops by itself.
    case "expired":
    case "draining":
    case "other":
    // Also what a gateway answers that cannot judge just now (its trust index is out of touch with the store): that
    // passes.
    case "denied":
      return { kind: "retry", afterMs: backoffMs(attempt, random, options?.retryAfterMs, limits) };
    default:
      return verdict satisfies never;
  }
}
