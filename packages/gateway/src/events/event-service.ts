import type { Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import { eventRows } from "../store/event-rows.ts";
import type { Store } from "../store/port.ts";
import type { EventRow } from "../store/rows.ts";
import { acknowledge, consume, listSubscriptions, removeSubscription } from "./consume.ts";
import type { SubscriptionHolds } from "./holds.ts";
import { assertSameLog, compacted, parseFilter, readPages, type PageParts } from "./pages.ts";
import type { EventService, LogBatch, SubscribeOptions } from "./service.ts";

/** What {@link createEventService} takes. */
export interface EventServiceOptions extends PageParts {
  readonly holds: SubscriptionHolds;
  readonly clock: Clock;
  /** Aborts when the gateway closes. */
  readonly signal: AbortSignal;
}

/** The event log for operators. */
export function createEventService(options: EventServiceOptions): EventService {
  const { store } = options;
  return {
    logId: store.meta.logId,
    quarantined: (input) => store.events.quarantined(input),
    bounds: () => store.events.bounds(),
    batches: (subscribe = {}) => batches(options, subscribe),
    subscribe: (subscribe = {}) => single(batches(options, subscribe)),
    consume: (wanted) => consume(options, wanted),
    acknowledge: (wanted) => acknowledge(options, wanted),
    subscriptions: () => listSubscriptions(options),
    removeSubscription: (wanted) => removeSubscription(options, wanted),
  };
}

async function* batches(
  options: EventServiceOptions,
  subscribe: SubscribeOptions,
): AsyncGenerator<LogBatch, void, undefined> {
  const { store, signal: closing } = options;
  const signal = subscribe.signal === undefined ? closing : AbortSignal.any([closing, subscribe.signal]);
  const filter = parseFilter(subscribe.filter ?? {});
  const after = await startOffset(store, subscribe);
  yield* readPages(options, { after, filter, signal });
}

async function* single(pages: AsyncIterable<LogBatch>): AsyncGenerator<EventRow, void, undefined> {
  for await (const page of pages) yield* eventRows(page);
}

async function startOffset(store: Store, subscribe: SubscribeOptions): Promise<number> {
  const { after = 0, since, logId, tail } = subscribe;
  const { earliest, latest } = await store.events.bounds();
  if (tail === true) return latest;
  assertSameLog(store, logId);
  if (!Number.isSafeInteger(after) || after < 0 || after > latest) {
    throw new GatewayError("RESUME_FUTURE", `the log ends at ${latest}`, { metadata: { latest: String(latest) } });
  }
  if (after > 0 && after + 1 < earliest) throw compacted(earliest);
  return since === undefined ? after : Math.max(after, await store.events.seek({ since }));
}
