/** One connection's worth of events. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { EventService, type EventFilterSchema, type SubscribeResponse } from "@quaymesh/api";
import { decodeEvents } from "@quaymesh/protocol/core";
import { eventRecord, loggedRecord } from "./decode.ts";
import type { EventsFilter, EventsOptions } from "./events.ts";
import type { EventRecord } from "./types.ts";
import type { Wire } from "./wire.ts";

/** Where a connection begins. */
export interface StreamStart {
  readonly after: number;
  /** Empty: not known. */
  readonly logId: string;
  readonly since: number | undefined;
  readonly tail: boolean;
  /** Something was read: `after` is what the consumer has been given. */
  readonly began: boolean;
}

/** A durable subscription as it was opened. */
export interface Opened {
  readonly epoch: number;
  readonly acked: number;
  readonly created: boolean;
  /** Events that are gone unread. */
  readonly lost: number;
}

/** See {@link subscribeOnce}. */
export interface EventBatch {
  readonly logId: string;
  readonly events: readonly EventRecord[];
  /** Nothing up to here is left; 0: not said. */
  readonly caughtUp: number;
  readonly opened?: Opened;
}

/** @throws {ClientError} */
export function subscribeOnce(wire: Wire, start: StreamStart, options: EventsOptions): AsyncIterable<EventBatch> {
  const client = createClient(EventService, wire.transport);
  const { after, logId, since, tail } = start;
  const request = {
    after: BigInt(after),
    logId,
    tail,
    encoded: true,
    filter: filterMessage(options.filter ?? {}),
    ...(since !== undefined && { since: timestampFromMs(since) }),
  };
  return wire.stream((signal) => client.subscribe(request, { signal }), batchOf, options.signal);
}

/** @throws {ClientError} */
export function consumeOnce(wire: Wire, start: StreamStart, options: EventsOptions): AsyncIterable<EventBatch> {
  const client = createClient(EventService, wire.transport);
  const { after, logId, since, tail, began } = start;
  const { maxAgeMs = 0, maxEvents = 0, maxBytes = 0 } = options.quota ?? {};
  const request = {
    name: options.durable ?? "",
    after: BigInt(after),
    seen: began ? BigInt(after) : 0n,
    tail,
    logId,
    encoded: true,
    skipLost: options.skipLost ?? false,
    quota: { maxAgeMs: BigInt(maxAgeMs), maxEvents: BigInt(maxEvents), maxBytes: BigInt(maxBytes) },
    ...(since !== undefined && { since: timestampFromMs(since) }),
    ...(options.filter !== undefined && { filter: filterMessage(options.filter) }),
  };
  return wire.stream(
    (signal) => client.consume(request, { signal }),
    (message) => {
      const { opened } = message;
      if (opened === undefined) return batchOf(message);
      const { epoch, acked, created, lost } = opened;
      const facts = { epoch: Number(epoch), acked: Number(acked), created, lost: Number(lost) };
      return { ...batchOf(message), opened: facts };
    },
    options.signal,
  );
}

type Batch = Pick<SubscribeResponse, "logId" | "events" | "encodedEvents" | "caughtUp">;

/** An older gateway gives `events`, whatever was asked for. */
function batchOf({ logId, events, encodedEvents, caughtUp }: Batch): EventBatch {
  const encoded = decodeEvents(encodedEvents).map((event) => loggedRecord(event, logId));
  const plain = events.map((event) => eventRecord(event, logId));
  return { logId, events: [...encoded, ...plain], caughtUp: Number(caughtUp) };
}

function filterMessage({
  kinds = [],
  devices = [],
  labels = [],
}: EventsFilter): MessageInitShape<typeof EventFilterSchema> {
  return { kinds: [...kinds], devices: [...devices], labels: [...labels] };
}
