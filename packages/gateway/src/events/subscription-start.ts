/** Where a node's subscription starts: what its request asks for, found out before the protocol's machine judges it. */
import type { SubscribeRequest, SubscriptionStart } from "@quaymesh/protocol";
import type { LiveSession } from "../sessions/live-session.ts";
import type { LogFilter } from "../store/port-events.ts";
import type { SubscriptionKey } from "../store/port-subscriptions.ts";
import { checkName, DEVICE_QUOTA, MAX_PER_DEVICE, MAX_SUBSCRIPTIONS } from "./quotas.ts";

const DEVICE_OWNER = "device:";

/** A durable subscription that a stream has taken. */
export interface TakenSubscription {
  readonly key: SubscriptionKey;
  readonly epoch: number;
  readonly acked: number;
}

/** See {@link findStart}. */
export interface FoundStart {
  /** Undefined for a request that asks for nothing that is not in the first version. */
  readonly start: SubscriptionStart | undefined;
  readonly filter: LogFilter;
  readonly taken: TakenSubscription | undefined;
}

/**
 * Find the time a request names, and take the durable subscription it names.
 * @throws {GatewayError} as `SubscriptionStore.open`, `SUBSCRIPTION_INVALID`
 */
export async function findStart(request: SubscribeRequest, session: LiveSession): Promise<FoundStart> {
  const { store, clock } = session.context;
  const { filter = {}, since, durable } = request;
  const features: string[] = [];
  let { after } = request;
  if ((filter.labels ?? []).length > 0) features.push("labels");
  if (since !== undefined) {
    features.push("since");
    after = Math.max(after, await store.events.seek({ since }));
  }
  // A cursor of another log is refused by the machine: nobody loses the subscription over it.
  const isOtherLog = request.log !== undefined && request.log !== store.meta.logId;
  if (durable === undefined || isOtherLog) {
    const start = features.length === 0 ? undefined : { from: after, features };
    return { start, filter, taken: undefined };
  }
  const key = { owner: ownerOf(session.deviceId), name: checkName(durable.name) };
  const { latest } = await store.events.bounds();
  const opened = await store.subscriptions.open({
    ...key,
    create: {
      after,
      ...(request.filter !== undefined && { filter }),
      quota: DEVICE_QUOTA,
      createdBy: session.deviceId,
      maxPerOwner: MAX_PER_DEVICE,
      maxTotal: MAX_SUBSCRIPTIONS,
    },
    skipLost: durable.skipLost ?? false,
    now: clock.now(),
  });
  const { subscription, created, lost } = opened;
  const { epoch, acked } = subscription;
  // What this consumer holds unacknowledged it would be given twice.
  const from = Math.max(acked, Math.min(durable.seen ?? 0, latest));
  const facts = { epoch, acked, created, ...(lost > 0 && { lost }) };
  return {
    start: { from, features: [...features, "durable"], durable: facts },
    filter: subscription.filter,
    taken: { key, epoch, acked },
  };
}

/** The owner of a device's durable subscriptions. */
export function ownerOf(deviceId: string): string {
  return `${DEVICE_OWNER}${deviceId}`;
}

/** The device that owns a durable subscription; undefined where operators do. */
export function deviceOf(owner: string): string | undefined {
  return owner.startsWith(DEVICE_OWNER) ? owner.slice(DEVICE_OWNER.length) : undefined;
}
