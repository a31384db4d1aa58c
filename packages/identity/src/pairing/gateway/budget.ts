import { DAY_MS, HOUR_MS, type PairingLimits } from "../limits.ts";

/** What a source prefix has left. */
interface Bucket {
  readonly tokens: number;
  readonly at: number;
}

/** Guesses made, over all codes and by source. */
export interface Budget {
  /** When guesses at a code failed, oldest first; one that is being judged counts as failed until it has proved itself. Proofs for no code are not among them. */
  readonly failedAt: readonly number[];
  readonly sources: ReadonlyMap<string, Bucket>;
}

/** Sources that are remembered; beyond it the fullest buckets are forgotten, which loses the least. */
const MAX_SOURCES = 1024;

/** A budget as it was before a restart; sources start anew. */
export function restoreBudget(failedAt: readonly number[]): Budget {
  return { failedAt: failedAt.toSorted((a, b) => a - b), sources: new Map() };
}

/** How long a newcomer from `source` has to wait, in milliseconds; 0 when it may try now. */
export function budgetWaitMs(budget: Budget, limits: PairingLimits, source: string, now: number): number {
  return Math.max(
    sourceWaitMs(budget, limits, source, now),
    windowWait(budget.failedAt, limits.failuresPerHour, HOUR_MS, now),
    windowWait(budget.failedAt, limits.failuresPerDay, DAY_MS, now),
  );
}

/** How long `source` has to wait for its own sake, in milliseconds; 0 when it may try now. */
export function sourceWaitMs(budget: Budget, limits: PairingLimits, source: string, now: number): number {
  const bucket = refilled(budget.sources.get(source), limits, now);
  return bucket.tokens >= 1 ? 0 : Math.ceil((1 - bucket.tokens) * limits.sourceRefillMs);
}

/** An attempt begins: take one of its source's tokens. */
export function chargeSource(budget: Budget, limits: PairingLimits, source: string, now: number): Budget {
  return withTokens(budget, limits, source, now, -1);
}

/** An attempt has proved itself: it costs its source nothing. */
export function refundSource(budget: Budget, limits: PairingLimits, source: string, now: number): Budget {
  return withTokens(budget, limits, source, now, 1);
}

/** An attempt is about to be judged: it counts as failed from here on. */
export function chargeFailure(budget: Budget, now: number): Budget {
  const recent = budget.failedAt.filter((at) => now - at < DAY_MS);
  return { ...budget, failedAt: [...recent, now] };
}

/** That attempt was right after all. */
export function refundFailure(budget: Budget, chargedAt: number): Budget {
  const index = budget.failedAt.lastIndexOf(chargedAt);
  return index < 0 ? budget : { ...budget, failedAt: budget.failedAt.toSpliced(index, 1) };
}

/** When the oldest of the `limit` latest failures leaves the window, relative to now. */
function windowWait(failedAt: readonly number[], limit: number, windowMs: number, now: number): number {
  const recent = failedAt.filter((at) => now - at < windowMs);
  const blocking = recent[recent.length - limit];
  return blocking === undefined ? 0 : blocking + windowMs - now;
}

function withTokens(budget: Budget, limits: PairingLimits, source: string, now: number, change: number): Budget {
  const sources = new Map(budget.sources);
  const bucket = refilled(sources.get(source), limits, now);
  const tokens = Math.min(limits.sourceBurst, Math.max(0, bucket.tokens + change));
  sources.set(source, { tokens, at: now });
  if (sources.size > MAX_SOURCES) forgetFullest(sources, limits, now);
  return { ...budget, sources };
}

function refilled(bucket: Bucket | undefined, limits: PairingLimits, now: number): Bucket {
  if (bucket === undefined) return { tokens: limits.sourceBurst, at: now };
  const gained = Math.max(0, now - bucket.at) / limits.sourceRefillMs;
  return { tokens: Math.min(limits.sourceBurst, bucket.tokens + gained), at: now };
}

function forgetFullest(sources: Map<string, Bucket>, limits: PairingLimits, now: number): void {
  const tokensOf = (bucket: Bucket): number => refilled(bucket, limits, now).tokens;
  const [fullest] = [...sources].toSorted(([, a], [, b]) => tokensOf(b) - tokensOf(a));
  if (fullest !== undefined) sources.delete(fullest[0]);
}
