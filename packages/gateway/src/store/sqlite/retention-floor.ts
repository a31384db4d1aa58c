/** How far retention may go: the one place where what subscriptions still need meets what they may hold back. */
import type { LapseReason, RetentionFloor, SubscriptionRow } from "../port-subscriptions.ts";
import type { Database } from "./database.ts";
import { logBounds } from "./events.ts";
import { bytesUpTo } from "./log-marks.ts";
import { findSubscription, subscriptionRow } from "./subscription-rows.ts";

/** See `SubscriptionStore.floor`. */
export function retentionFloor(
  db: Database,
  input: { readonly wanted: number; readonly now: number; readonly agedAt?: number },
): RetentionFloor {
  const wanted = Math.min(input.wanted, logBounds(db).latest);
  const behind = db
    .all("SELECT * FROM subscriptions WHERE lapsed_at IS NULL AND acked < ? ORDER BY acked, owner, name", wanted)
    .map(subscriptionRow);
  const lapsed: SubscriptionRow[] = [];
  const holding: SubscriptionRow[] = [];
  for (const row of behind) {
    const reason = exceeded(db, row, { wanted, now: input.agedAt ?? input.now });
    if (reason === undefined) holding.push(row);
    else lapsed.push(lapse(db, row, reason, input.now));
  }
  return {
    upTo: Math.min(wanted, ...holding.map(({ acked }) => acked)),
    heldBy: holding.map(({ owner, name }) => ({ owner, name })),
    lapsed,
  };
}

function exceeded(
  db: Database,
  { acked, quota }: SubscriptionRow,
  { wanted, now }: { readonly wanted: number; readonly now: number },
): LapseReason | undefined {
  if (wanted - acked > quota.maxEvents) return "events";
  const oldest = db.number("SELECT received FROM events WHERE position > ? ORDER BY position LIMIT 1", acked);
  if (now - oldest > quota.maxAgeMs) return "age";
  if (bytesUpTo(db, wanted) - bytesUpTo(db, acked) > quota.maxBytes) return "bytes";
  return undefined;
}

function lapse(db: Database, row: SubscriptionRow, by: LapseReason, now: number): SubscriptionRow {
  db.run(
    "UPDATE subscriptions SET lapsed_at = ?, lapsed_by = ? WHERE owner = ? AND name = ?",
    now,
    by,
    row.owner,
    row.name,
  );
  return findSubscription(db, row) ?? row;
}
