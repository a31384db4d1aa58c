import { MAX_BATCH_EVENTS, MAX_READ_BYTES } from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import type { Store } from "../store/port.ts";
import type { LogFilter } from "../store/port-events.ts";
import type { EventRow } from "../store/rows.ts";
import type { LogHub } from "./log-hub.ts";
import type { EventService, LogBatch, SubscribeOptions } from "./service.ts";

/** Most kinds or devices one filter names. */
const MAX_FILTER_ITEMS = 64;

/** What {@link createEventService} takes. */
export interface EventServiceOptions {
  readonly store: Store;
  readonly log: LogHub;
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
  };
}

async function* batches(
  { store, log, signal: closing }: EventServiceOptions,
  subscribe: SubscribeOptions,
): AsyncGenerator<LogBatch, void, undefined> {
  const signal = subscribe.signal === undefined ? closing : AbortSignal.any([closing, subscribe.signal]);
  const filter = parseFilter(subscribe.filter ?? {});
  const { logId } = store.meta;
  let after = await startOffset(store, subscribe);
  let announced = -1;
  for (;;) {
    signal.throwIfAborted();
    const page = await store.events.read({ after, limit: MAX_BATCH_EVENTS, maxBytes: MAX_READ_BYTES, filter });
    if (after > 0 && after + 1 < page.earliest) throw compacted(page.earliest);
    after = Math.max(page.scannedTo, page.earliest - 1);
    const caughtUp = after >= page.latest;
    if (page.events.length > 0 || (caughtUp && announced !== after)) {
      announced = after;
      yield { logId, events: page.events, caughtUp: after };
    }
    if (caughtUp) await log.grownBeyond(after, signal);
  }
}

async function* single(pages: AsyncIterable<LogBatch>): AsyncGenerator<EventRow, void, undefined> {
  for await (const page of pages) yield* page.events;
}

async function startOffset(store: Store, { after = 0, logId, tail }: SubscribeOptions): Promise<number> {
  const { earliest, latest } = await store.events.bounds();
  if (tail === true) return latest;
  if (logId !== undefined && logId !== "" && logId !== store.meta.logId) {
    throw new GatewayError("LOG_CHANGED", "the cursor belongs to another log", {
      metadata: { logId: store.meta.logId },
    });
  }
  if (!Number.isSafeInteger(after) || after < 0 || after > latest) {
    throw new GatewayError("RESUME_FUTURE", `the log ends at ${latest}`, { metadata: { latest: String(latest) } });
  }
  if (after > 0 && after + 1 < earliest) throw compacted(earliest);
  return after;
}

function parseFilter(filter: LogFilter): LogFilter {
  const { kinds = [], devices = [] } = filter;
  if (kinds.length > MAX_FILTER_ITEMS || devices.length > MAX_FILTER_ITEMS) {
    throw new GatewayError("FILTER_INVALID", `a filter names at most ${MAX_FILTER_ITEMS} kinds and devices`);
  }
  const star = kinds.find((kind) => kind === "" || kind.slice(0, -1).includes("*"));
  if (star !== undefined) throw new GatewayError("FILTER_INVALID", `a kind may end in *, not contain it: ${star}`);
  return { kinds, devices };
}

function compacted(earliest: number): GatewayError {
  return new GatewayError("RESUME_COMPACTED", `the log begins at ${earliest}`, {
    metadata: { earliest: String(earliest) },
  });
}
