/** Durable subscriptions of operators: pages of the log behind a cursor that the gateway keeps. */
import { encodeEvents } from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import type { LogFilter } from "../store/port-events.ts";
import type { SubscriptionKey, SubscriptionQuota, SubscriptionRow } from "../store/port-subscriptions.ts";
import type { EventServiceOptions } from "./event-service.ts";
import { assertSameLog, parseFilter, readPages } from "./pages.ts";
import { checkName, DEFAULT_QUOTA, MAX_PER_OPERATORS, MAX_SUBSCRIPTIONS } from "./quotas.ts";
import type { ConsumeOptions, ConsumedBatch, SubscriptionView } from "./service.ts";
import { deviceOf, ownerOf } from "./subscription-start.ts";

/** Operators share their subscriptions: who may read the log may take one over. */
const OPERATOR = "operator";

/** Take a subscription and give what it has not acknowledged; ends with `SUBSCRIPTION_TAKEN` when another takes it. */
export async function* consume(
  parts: EventServiceOptions,
  options: ConsumeOptions,
): AsyncGenerator<ConsumedBatch, void, undefined> {
  const { store, holds, clock, signal: closing } = parts;
  const key = { owner: OPERATOR, name: checkName(options.name) };
  // Before it is taken: nobody loses it over a cursor of another log.
  assertSameLog(store, options.logId);
  const { subscription, created, lost } = await store.subscriptions.open({
    ...key,
    ...(options.existing !== true && { create: await creationOf(parts, options) }),
    skipLost: options.skipLost ?? false,
    now: clock.now(),
  });
  const lose = new AbortController();
  const letGo = holds.take(key, subscription.epoch, (error) => lose.abort(error));
  const signals = [closing, lose.signal, ...(options.signal === undefined ? [] : [options.signal])];
  const signal = AbortSignal.any(signals);
  try {
    const { latest } = await store.events.bounds();
    // What this consumer holds unacknowledged it would be given twice.
    const after = Math.max(subscription.acked, Math.min(options.seen ?? 0, latest));
    const logId = store.meta.logId;
    yield {
      logId,
      events: encodeEvents([]),
      caughtUp: 0,
      opened: { epoch: subscription.epoch, acked: subscription.acked, created, lost },
    };
    for await (const page of readPages(parts, { after, filter: subscription.filter, signal })) yield page;
  } finally {
    letGo();
  }
}

/** Move the cursor of a subscription of the operators'. */
export async function acknowledge(
  { store, clock }: EventServiceOptions,
  { name, epoch, offset }: { readonly name: string; readonly epoch: number; readonly offset: number },
): Promise<number> {
  const { acked } = await store.subscriptions.acknowledge({ owner: OPERATOR, name, epoch, offset, now: clock.now() });
  return acked;
}

/** Every subscription, of operators and devices, with what it holds back. */
export async function listSubscriptions({ store, holds }: EventServiceOptions): Promise<readonly SubscriptionView[]> {
  const [rows, { latest }] = await Promise.all([store.subscriptions.list({}), store.events.bounds()]);
  return rows.map((row) => viewOf(row, latest, holds.isHeld(row)));
}

/** Remove a subscription; its consumer is told. @throws {GatewayError} `SUBSCRIPTION_NOT_FOUND` */
export async function removeSubscription(
  { store, holds }: EventServiceOptions,
  { name, deviceId }: { readonly name: string; readonly deviceId?: string },
): Promise<void> {
  const key: SubscriptionKey = { owner: deviceId === undefined ? OPERATOR : ownerOf(deviceId), name };
  const removed = await store.subscriptions.remove(key);
  if (!removed) throw new GatewayError("SUBSCRIPTION_NOT_FOUND", `there is no durable subscription ${name}`);
  holds.removed(key);
}

async function creationOf({ store }: EventServiceOptions, options: ConsumeOptions) {
  const { after = 0, since, tail = false, quota = {}, createdBy } = options;
  const filter: LogFilter | undefined = options.filter === undefined ? undefined : parseFilter(options.filter);
  return {
    after: await beginning({ after, since, tail }),
    ...(filter !== undefined && { filter }),
    quota: checkQuota({ ...DEFAULT_QUOTA, ...quota }),
    createdBy,
    maxPerOwner: MAX_PER_OPERATORS,
    maxTotal: MAX_SUBSCRIPTIONS,
  };

  async function beginning(at: { after: number; since: number | undefined; tail: boolean }): Promise<number> {
    if (at.tail) return (await store.events.bounds()).latest;
    if (at.since === undefined) return at.after;
    return Math.max(at.after, await store.events.seek({ since: at.since }));
  }
}

function checkQuota(quota: SubscriptionQuota): SubscriptionQuota {
  const bad = Object.entries(quota).find(([, value]: [string, number]) => !Number.isSafeInteger(value) || value < 1);
  if (bad === undefined) return quota;
  throw new GatewayError("SUBSCRIPTION_INVALID", `${bad[0]} must be a whole number above 0`);
}

function viewOf(row: SubscriptionRow, latest: number, isHeld: boolean): SubscriptionView {
  return { ...row, deviceId: deviceOf(row.owner), pending: Math.max(0, latest - row.acked), isHeld };
}
