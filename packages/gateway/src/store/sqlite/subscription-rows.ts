import { GatewayError } from "../../errors.ts";
import type { LogFilter } from "../port-events.ts";
import type { SubscriptionKey, SubscriptionRow } from "../port-subscriptions.ts";
import { json, number, oneOf, optionalNumber, text } from "./columns.ts";
import type { Database, RawRow } from "./database.ts";

/** A row of `subscriptions`. */
export function subscriptionRow(row: RawRow): SubscriptionRow {
  const lapsedAt = optionalNumber(row, "lapsed_at");
  return {
    owner: text(row, "owner"),
    name: text(row, "name"),
    filter: parseFilter(json(row, "filter")),
    createdBy: text(row, "created_by"),
    createdAt: number(row, "created_at"),
    lastSeenAt: number(row, "last_seen_at"),
    acked: number(row, "acked"),
    epoch: number(row, "epoch"),
    quota: {
      maxAgeMs: number(row, "max_age_ms"),
      maxEvents: number(row, "max_events"),
      maxBytes: number(row, "max_bytes"),
    },
    lapsed:
      lapsedAt === undefined ? undefined : { at: lapsedAt, by: oneOf(row, "lapsed_by", ["age", "events", "bytes"]) },
  };
}

/** The subscription, or undefined. */
export function findSubscription(db: Database, { owner, name }: SubscriptionKey): SubscriptionRow | undefined {
  const row = db.get("SELECT * FROM subscriptions WHERE owner = ? AND name = ?", owner, name);
  return row === undefined ? undefined : subscriptionRow(row);
}

/** A filter as it is stored: two that pass the same events by the same words are the same text. */
export function canonicalFilter({ kinds, devices, labels }: LogFilter): string {
  return JSON.stringify({ kinds: sorted(kinds), devices: sorted(devices), labels: sorted(labels) });
}

function sorted(items: readonly string[] | undefined): readonly string[] {
  return [...new Set(items)].toSorted();
}

function parseFilter(value: unknown): LogFilter {
  if (typeof value !== "object" || value === null) throw bad();
  const kinds = namesOf(value, "kinds");
  const devices = namesOf(value, "devices");
  const labels = namesOf(value, "labels");
  return {
    ...(kinds.length > 0 && { kinds }),
    ...(devices.length > 0 && { devices }),
    ...(labels.length > 0 && { labels }),
  };
}

function namesOf(value: object, key: string): readonly string[] {
  const items: unknown = Object.entries(value).find(([name]) => name === key)?.[1] ?? [];
  if (!Array.isArray(items) || !items.every((item) => typeof item === "string")) throw bad();
  return items;
}

function bad(): GatewayError {
  return new GatewayError("STORE_CORRUPT", "a stored filter cannot be read");
}
