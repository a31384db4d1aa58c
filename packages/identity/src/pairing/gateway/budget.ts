import { DAY_MS, HOUR_MS, type PairingLimits } from "../limits.ts";

/** What a source prefix has left. */
interface Bucket {
  readonly tokens: number;
  readonly at: number;
}

/** What a code's secret is: a PIN can be guessed, a ticket's 128 bits cannot. */
export type SecretKind = "pin" | "ticket";

/** When guesses failed, oldest first, by what was guessed at. */
export type FailedAt = Readonly<Record<SecretKind, readonly number[]>>;

/** Guesses made, over all codes and by source. */
export interface Budget {
  /** One that is being judged counts as failed until it has proved itself. Proofs for no code are not among them. */
  readonly failedAt: FailedAt;
  readonly sources: ReadonlyMap<string, Bucket>;
}

/** Sources that are remembered; beyond it the fullest buckets are forgotten, which loses the least. */
const MAX_SOURCES = 1024;

/** A budget as it was before a restart; sources start anew. */
export function restoreBudget({ pin = [], ticket = [] }: Partial<FailedAt>): Budget {
  const sorted = (times: readonly number[]): readonly number[] => times.toSorted((a, b) => a - b);
  return { failedAt: { pin: sorted(pin), ticket: sorted(ticket) }, sources: new Map() };
}

/** How long a newcomer from `source` has to wait with a guess at such a secret, in milliseconds; 0 when it may try now. */
export function budgetWaitMs(
  budget: Budget,
  limits: PairingLimits,
  attempt: { readonly source: string; readonly secret: SecretKind },
  now: number,
): number {
  const failedAt = budget.failedAt[attempt.secret];
  const [perHour, perDay] =
    attempt.secret === "pin"
      ? [limits.failuresPerHour, limits.failuresPerDay]
      : [limits.ticketFailuresPerHour, limits.ticketFailuresPerDay];
  return Math.max(
    sourceWaitMs(budget, limits, attempt.source, now),
    windowWait(failedAt, perHour, HOUR_MS, now),
    windowWait(failedAt, perDay, DAY_MS, now),
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
export function chargeFailure(budget: Budget, secret: SecretKind, now: number): Budget {
  const recent = budget.failedAt[secret].filter((at) => now - at < DAY_MS);
  return { ...budget, failedAt: { ...budget.failedAt, [secret]: [...recent, now] } };
}

/** That attempt was right after all. */
export function refundFailure(budget: Budget, secret: SecretKind, chargedAt: number): Budget {
  const failedAt = budget.failedAt[secret];
  const index = failedAt.lastIndexOf(chargedAt);
  if (index < 0) return budget;
  return { ...budget, failedAt: { ...budget.failedAt, [secret]: failedAt.toSpliced(index, 1) } };
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
