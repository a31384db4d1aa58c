/** How many durable subscriptions there may be, and how much each may hold retention back. */
import { GatewayError } from "../errors.ts";
import type { SubscriptionQuota } from "../store/port-subscriptions.ts";

const DAY_MS = 86_400_000;
const GIB = 1_073_741_824;

/** What an operator's subscription may hold back unless it says otherwise. */
export const DEFAULT_QUOTA: SubscriptionQuota = { maxAgeMs: 7 * DAY_MS, maxEvents: 10_000_000, maxBytes: GIB };

/** What a device's may, whatever it says: a device that is lost must not fill its gateway's disk. */
export const DEVICE_QUOTA: SubscriptionQuota = { maxAgeMs: 3 * DAY_MS, maxEvents: 1_000_000, maxBytes: GIB / 4 };

/** Durable subscriptions of one device. */
export const MAX_PER_DEVICE = 8;
/** Of all operators together. */
export const MAX_PER_OPERATORS = 256;
/** On one gateway. */
export const MAX_SUBSCRIPTIONS = 4096;

const MAX_NAME_UNITS = 64;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/u;

/** @throws {GatewayError} `SUBSCRIPTION_INVALID` */
export function checkName(name: string): string {
  if (name.length <= MAX_NAME_UNITS && NAME.test(name)) return name;
  throw new GatewayError(
    "SUBSCRIPTION_INVALID",
    `a name is 1 to ${MAX_NAME_UNITS} letters, digits, dots, dashes and underscores`,
  );
}
