/** The event log in the client: `for await (const event of gateway.events({ after }))`. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { parseCursor } from "@quaymesh/protocol/core";
import { ClientError } from "./errors.ts";
import { consumeOnce, subscribeOnce, type EventBatch, type Opened, type StreamStart } from "./event-streams.ts";
import { Acks } from "./acks.ts";
import { check } from "./schema.ts";
import type { CallOptions } from "./task-handle.ts";
import type { EventRecord } from "./types.ts";
import type { Wire } from "./wire.ts";

/** Which events; each list that is given must pass. */
export interface EventsFilter {
  /** Exact kinds, or prefixes that end in `*`. */
  readonly kinds?: readonly string[];
  /** Device ids. */
  readonly devices?: readonly string[];
  /** Devices that carry one of these when the log is read. */
  readonly labels?: readonly string[];
}

/** Options of `GatewayClient.events`. */
export interface EventsOptions<S extends StandardSchemaV1 = StandardSchemaV1> extends CallOptions {
  /** Go on behind this place: an event's `cursor`, or an offset. 0 (the default) is the log's beginning. */
  readonly after?: number | string;
  /** Names the log that an offset in `after` belongs to; another log is then refused with `LOG_CHANGED`. */
  readonly logId?: string;
  /** Begin with the first event the gateway received then or later: Unix milliseconds or a `Date`. */
  readonly since?: number | { getTime(): number };
  readonly filter?: EventsFilter;
  /** Start at the end of the log instead of after `after`. */
  readonly tail?: boolean;
  /** Standard Schema (zod, valibot, arktype, typebox) that `data` must fit; what it makes of it is the event's `data`. One that does not fit throws `EVENT_INVALID`. */
  readonly schema?: S;
  /** Go on by itself when the gateway restarts or its connection breaks. Default true; nothing is given twice or left out by it. */
  readonly reconnect?: boolean;
  /**
   * Keep the cursor on the gateway under this name. `after`, `since`, `tail`, `filter` and `quota` are for one that is new. An event is acknowledged when the loop comes back
   * for the next, so one whose handling did not come to its end is given again.
   */
  readonly durable?: string;
  /** Of a durable subscription that is new: how much it may hold retention back. */
  readonly quota?: { readonly maxAgeMs?: number; readonly maxEvents?: number; readonly maxBytes?: number };
  /** With `durable`: acknowledge only by {@link EventStream.acknowledge}, and what the filter hides behind it. Default false. */
  readonly manualAck?: boolean;
  /** With `durable`: go on with what is left where events are gone that were not acknowledged, instead of failing with `RESUME_COMPACTED`. */
  readonly skipLost?: boolean;
  /** Called whenever the end of the log, at `offset`, is reached: the cursor may move there even if the filter hid the last events. */
  readonly onCaughtUp?: (position: { readonly offset: number; readonly logId: string }) => void;
  /** Called when a durable subscription is open, each time. `lost`: events that are gone unread. */
  readonly onOpened?: (opened: Opened) => void;
}

/** Events, to be iterated once. Leaving the loop ends the subscription. */
export interface EventStream<T = unknown> extends AsyncGenerator<EventRecord<T>, void, undefined> {
  /**
   * Of a durable subscription: this event and all before it are done with. Resolves when the gateway has stored that.
   * @throws {ClientError} `SUBSCRIPTION_TAKEN`, `SUBSCRIPTION_NOT_FOUND`, `GATEWAY_GONE`
   */
  acknowledge(event: { readonly offset: number }): Promise<void>;
}

const PASSING: ReadonlySet<string> = new Set([
  "GATEWAY_GONE",
  "GATEWAY_UNREACHABLE",
  "GATEWAY_DRAINING",
  "STORE_CLOSED",
  "SLOW_CONSUMER",
]);
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 2000;

/** Events replayed and then live, until left or aborted. */
export function subscribe<S extends StandardSchemaV1>(
  wire: Wire,
  options: EventsOptions<S>,
): EventStream<StandardSchemaV1.InferOutput<S>> {
  const acks = new Acks(wire, options.durable);
  const events = records(wire, options, acks);
  return Object.assign(events, {
    acknowledge: ({ offset }: { readonly offset: number }) => acks.upTo(offset),
  });
}

async function* records<S extends StandardSchemaV1>(
  wire: Wire,
  options: EventsOptions<S>,
  acks: Acks,
): AsyncGenerator<EventRecord<StandardSchemaV1.InferOutput<S>>, void, undefined> {
  const acksByItself = options.durable !== undefined && options.manualAck !== true;
  try {
    for await (const { logId, events, caughtUp } of batches(wire, options, acks)) {
      for (const event of events) {
        acks.give(event.offset);
        // Without a schema there is nothing to wait for.
        yield options.schema === undefined ? event : await typed(event, options.schema);
        if (acksByItself) acks.wish(event.offset);
      }
      if (caughtUp === 0) continue;
      acks.caughtUp(caughtUp);
      options.onCaughtUp?.({ offset: caughtUp, logId });
    }
  } finally {
    await acks.settled();
  }
}

/** Batches over as many connections as it takes. */
async function* batches(wire: Wire, options: EventsOptions, acks: Acks): AsyncGenerator<EventBatch, void, undefined> {
  const { signal, reconnect = true } = options;
  let start = startOf(options);
  let waitMs = FIRST_RETRY_MS;
  for (;;) {
    try {
      const stream =
        options.durable === undefined ? subscribeOnce(wire, start, options) : consumeOnce(wire, start, options);
      for await (const batch of stream) {
        waitMs = FIRST_RETRY_MS;
        if (batch.opened !== undefined) {
          acks.opened(batch.opened.epoch);
          options.onOpened?.(batch.opened);
        }
        // Before it is given: what the consumer holds must not come again.
        const last = Math.max(batch.caughtUp, batch.events.at(-1)?.offset ?? 0);
        start = { after: Math.max(start.after, last), logId: batch.logId, began: true, since: undefined, tail: false };
        yield batch;
      }
      return;
    } catch (cause) {
      signal?.throwIfAborted();
      // Until something was read, the first failure is the answer.
      if (!reconnect || !start.began || !(cause instanceof ClientError && PASSING.has(cause.code))) throw cause;
      await wire.pause(waitMs, signal);
      waitMs = Math.min(MAX_RETRY_MS, waitMs * 2);
    }
  }
}

function startOf({ after = 0, logId = "", since, tail = false }: EventsOptions): StreamStart {
  const at = typeof since === "object" ? since.getTime() : since;
  if (typeof after === "number") return { after, logId, since: at, tail, began: false };
  try {
    const { log, offset } = parseCursor(after);
    return { after: offset, logId: log, since: at, tail, began: false };
  } catch (cause) {
    throw new ClientError("CURSOR_INVALID", "that is no cursor", {
      cause,
      hint: "Give a cursor as an event had it: <log>:<offset>.",
    });
  }
}

async function typed<S extends StandardSchemaV1>(
  event: EventRecord,
  schema: S,
): Promise<EventRecord<StandardSchemaV1.InferOutput<S>>> {
  const checked = await check(schema, event.data);
  if (checked.kind === "fits") return { ...event, data: checked.value };
  throw new ClientError("EVENT_INVALID", `event ${event.offset} (${event.kind}): ${checked.why}`, {
    hint: "Leave out kinds of another shape with a filter, or go on behind the event's cursor.",
    metadata: { offset: String(event.offset), cursor: event.cursor, kind: event.kind },
  });
}
