/** Units of durable subscriptions; see SubscriptionStore for what each promises. */
import { GatewayError } from "../../errors.ts";
import type {
  AcknowledgeSubscription,
  OpenedSubscription,
  OpenSubscription,
  SubscriptionKey,
  SubscriptionRow,
} from "../port-subscriptions.ts";
import type { Database } from "./database.ts";
import { logBounds } from "./events.ts";
import { getMeta, putMeta } from "./meta.ts";
import { canonicalFilter, findSubscription, subscriptionRow } from "./subscription-rows.ts";

const REMOVED_EPOCH = "subscription-epoch";

/** Take a subscription, or make it. */
export function openSubscription(db: Database, input: OpenSubscription): OpenedSubscription {
  const found = findSubscription(db, input);
  if (found === undefined) create(db, input);
  else assertSameFilter(found, input);
  const lost = skipOrRefuse(db, found ?? requireSubscription(db, input), input.skipLost ?? false);
  db.run(
    "UPDATE subscriptions SET epoch = epoch + 1, last_seen_at = ?, lapsed_at = NULL, lapsed_by = NULL WHERE owner = ? AND name = ?",
    input.now,
    input.owner,
    input.name,
  );
  return { subscription: requireSubscription(db, input), created: found === undefined, lost };
}

/** Move the cursor of whoever holds the subscription. */
export function acknowledge(db: Database, input: AcknowledgeSubscription): { readonly acked: number } {
  const { owner, name, epoch, offset, now } = input;
  const found = requireSubscription(db, input);
  if (found.epoch !== epoch) {
    throw new GatewayError("SUBSCRIPTION_TAKEN", `another consumer has taken ${name}`, {
      metadata: { epoch: String(found.epoch) },
    });
  }
  const { earliest, latest } = logBounds(db);
  if (offset > latest) throw beyond(latest);
  const acked = Math.max(found.acked, offset);
  // Whoever has caught up with what is kept has lost nothing that could still be read.
  const isLapsed = found.lapsed !== undefined && acked + 1 < earliest;
  db.run(
    `UPDATE subscriptions SET acked = ?, last_seen_at = ?${isLapsed ? "" : ", lapsed_at = NULL, lapsed_by = NULL"} WHERE owner = ? AND name = ?`,
    acked,
    now,
    owner,
    name,
  );
  return { acked };
}

/** One owner's, or everyone's. */
export function listSubscriptions(db: Database, { owner }: { readonly owner?: string }): readonly SubscriptionRow[] {
  const rows =
    owner === undefined
      ? db.all("SELECT * FROM subscriptions ORDER BY owner, name")
      : db.all("SELECT * FROM subscriptions WHERE owner = ? ORDER BY name", owner);
  return rows.map(subscriptionRow);
}

/** @returns whether there was one, held under `epoch` where that is given */
export function removeSubscription(
  db: Database,
  { owner, name, epoch }: SubscriptionKey & { readonly epoch?: number },
): boolean {
  const found = findSubscription(db, { owner, name });
  if (found === undefined || (epoch !== undefined && epoch !== found.epoch)) return false;
  // Another of this name goes on counting: who held this one must not be able to acknowledge to that.
  const highest = Math.max(found.epoch, lastRemovedEpoch(db));
  putMeta(db, { key: REMOVED_EPOCH, value: String(highest) });
  return db.run("DELETE FROM subscriptions WHERE owner = ? AND name = ?", owner, name) > 0;
}

/** The highest epoch of all subscriptions that were removed. */
function lastRemovedEpoch(db: Database): number {
  return Number(getMeta(db, REMOVED_EPOCH) ?? 0);
}

function create(db: Database, { owner, name, create: wanted, now }: OpenSubscription): void {
  if (wanted === undefined) throw notFound(name);
  const { maxPerOwner, maxTotal, quota, after } = wanted;
  const own = db.number("SELECT count(*) FROM subscriptions WHERE owner = ?", owner);
  const total = db.number("SELECT count(*) FROM subscriptions");
  if (own >= maxPerOwner || total >= maxTotal) {
    const limit = own >= maxPerOwner ? maxPerOwner : maxTotal;
    throw new GatewayError("SUBSCRIPTION_LIMIT", `there are ${limit} durable subscriptions already`, {
      metadata: { limit: String(limit) },
    });
  }
  const { earliest, latest } = logBounds(db);
  if (after > latest) throw beyond(latest);
  db.run(
    "INSERT INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
    owner,
    name,
    canonicalFilter(wanted.filter ?? {}),
    wanted.createdBy,
    now,
    now,
    // Whoever has seen nothing has lost nothing of what is gone already; whoever says where it is has.
    after === 0 ? earliest - 1 : after,
    lastRemovedEpoch(db),
    quota.maxAgeMs,
    quota.maxEvents,
    quota.maxBytes,
  );
}

function assertSameFilter(found: SubscriptionRow, { name, create: wanted }: OpenSubscription): void {
  if (wanted?.filter === undefined || canonicalFilter(found.filter) === canonicalFilter(wanted.filter)) return;
  throw new GatewayError("SUBSCRIPTION_EXISTS", `the subscription ${name} exists with another filter`);
}

/** @returns how many offsets are gone that were not acknowledged */
function skipOrRefuse(db: Database, { owner, name, acked }: SubscriptionRow, skipLost: boolean): number {
  const { earliest } = logBounds(db);
  const lost = Math.max(0, earliest - 1 - acked);
  if (lost === 0) return 0;
  if (!skipLost) {
    throw new GatewayError("RESUME_COMPACTED", `${lost} events that ${name} had not acknowledged are gone`, {
      metadata: { earliest: String(earliest), acked: String(acked), lost: String(lost) },
    });
  }
  db.run("UPDATE subscriptions SET acked = ? WHERE owner = ? AND name = ?", earliest - 1, owner, name);
  return lost;
}

/** The subscription. @throws {GatewayError} `SUBSCRIPTION_NOT_FOUND` */
export function requireSubscription(db: Database, key: SubscriptionKey): SubscriptionRow {
  const found = findSubscription(db, key);
  if (found === undefined) throw notFound(key.name);
  return found;
}

function notFound(name: string): GatewayError {
  return new GatewayError("SUBSCRIPTION_NOT_FOUND", `there is no durable subscription ${name}`);
}

function beyond(latest: number): GatewayError {
  return new GatewayError("RESUME_FUTURE", `the log ends at ${latest}`, { metadata: { latest: String(latest) } });
}
