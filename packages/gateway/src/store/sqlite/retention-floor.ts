/** How far retention may go: the one place where what subscriptions still need meets what they may hold back. */
import type { LapseReason, RetentionFloor, SubscriptionKey, SubscriptionRow } from "../port-subscriptions.ts";
import type { Database } from "./database.ts";
import { logBounds } from "./events.ts";
import { bytesUpTo } from "./log-marks.ts";
import { requireSubscription } from "./subscriptions.ts";

/** Judging one takes a look at the log: so many lapse in one piece, and the rest with the next ones. */
const MAX_LAPSES = 32;

/** What of a subscription says how far it holds retention back. */
interface Holder extends SubscriptionKey {
  readonly acked: number;
  readonly maxAgeMs: number;
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** See `SubscriptionStore.floor`. */
export function retentionFloor(
  db: Database,
  input: { readonly wanted: number; readonly now: number; readonly agedAt?: number },
): RetentionFloor {
  const wanted = Math.min(input.wanted, logBounds(db).latest);
  const lapsed: SubscriptionRow[] = [];
  const heldBy: SubscriptionKey[] = [];
  // Of those with one quota whoever is furthest behind exceeds it first: one that does not speaks for all that follow.
  const kept = new Set<string>();
  let upTo = wanted;
  for (const holder of behind(db, wanted)) {
    const { owner, name, acked, maxAgeMs, maxEvents, maxBytes } = holder;
    const quota = `${maxAgeMs} ${maxEvents} ${maxBytes}`;
    if (!kept.has(quota) && lapsed.length < MAX_LAPSES) {
      const reason = exceeded(db, holder, { wanted, now: input.agedAt ?? input.now });
      if (reason !== undefined) {
        lapsed.push(lapse(db, holder, reason, input.now));
        continue;
      }
      kept.add(quota);
    }
    upTo = Math.min(upTo, acked);
    heldBy.push({ owner, name });
  }
  return { upTo, heldBy, lapsed };
}

/** Those that need what is to go, furthest behind first. */
function behind(db: Database, wanted: number): readonly Holder[] {
  const sql = `SELECT owner, name, acked, max_age_ms, max_events, max_bytes FROM subscriptions
    WHERE lapsed_at IS NULL AND acked < ? ORDER BY acked, owner, name`;
  return db.allTuples(sql, wanted).map(([owner, name, acked, maxAgeMs, maxEvents, maxBytes]) => ({
    owner: String(owner),
    name: String(name),
    acked: Number(acked),
    maxAgeMs: Number(maxAgeMs),
    maxEvents: Number(maxEvents),
    maxBytes: Number(maxBytes),
  }));
}

function exceeded(
  db: Database,
  { acked, maxAgeMs, maxEvents, maxBytes }: Holder,
  { wanted, now }: { readonly wanted: number; readonly now: number },
): LapseReason | undefined {
  if (wanted - acked > maxEvents) return "events";
  const oldest = db.number("SELECT received FROM events WHERE position > ? ORDER BY position LIMIT 1", acked);
  if (now - oldest > maxAgeMs) return "age";
  if (bytesUpTo(db, wanted) - bytesUpTo(db, acked) > maxBytes) return "bytes";
  return undefined;
}

function lapse(db: Database, key: SubscriptionKey, by: LapseReason, now: number): SubscriptionRow {
  db.run(
    "UPDATE subscriptions SET lapsed_at = ?, lapsed_by = ? WHERE owner = ? AND name = ?",
    now,
    by,
    key.owner,
    key.name,
  );
  return requireSubscription(db, key);
}
