import type { DescField, MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  EventService,
  type ConsumeRequest,
  type EventFilter,
  type SubscribeRequest,
  type SubscriptionSchema,
} from "@quaymesh/api";
import { eventBytes } from "@quaymesh/protocol";
import type { DeviceService as Devices } from "../devices/service.ts";
import type {
  ConsumedBatch,
  ConsumeOptions,
  EventService as Events,
  LogBatch,
  SubscribeOptions,
  SubscriptionView,
} from "../events/service.ts";
import { eventRows } from "../store/event-rows.ts";
import type { LogFilter, QuarantinedRow } from "../store/port-events.ts";
import { appendingKey, type Appending } from "./appended-bytes.ts";
import { eventMessage, filterMessage, timestamp } from "./encode.ts";
import { safeInteger } from "./numbers.ts";
import { callerKey } from "./permissions.ts";

const DEFAULT_QUARANTINED = 100;
/** At most 64 KiB of data each. */
const MAX_QUARANTINED = 1000;

/** `quaymesh.v1.EventService` on the core's event log. */
export function eventHandler(events: Events, devices: Devices): ServiceImpl<typeof EventService> {
  return {
    async *subscribe(request, { signal, values }) {
      const options = await subscribeOptions(request, devices);
      const form = { encoded: request.encoded, appending: values.get(appendingKey) };
      for await (const batch of events.batches({ ...options, signal })) {
        yield batchMessage(batch, form, EventService.method.subscribe.output.field.encodedEvents);
      }
    },
    async listQuarantined({ device, limit, beforeId }) {
      const rows = await events.quarantined({
        ...(device !== "" && { deviceId: await devices.resolve(device) }),
        ...(beforeId > 0n && { beforeId: safeInteger(beforeId, "before_id") }),
        limit: Math.min(limit === 0 ? DEFAULT_QUARANTINED : limit, MAX_QUARANTINED),
      });
      return { events: rows.map(quarantinedMessage) };
    },
    async *consume(request, { signal, values }) {
      const createdBy = values.get(callerKey)?.name ?? "";
      const options = await consumeOptions(request, devices, createdBy);
      const form = { encoded: request.encoded, appending: values.get(appendingKey) };
      for await (const batch of events.consume({ ...options, signal })) yield consumedMessage(batch, form);
    },
    async acknowledge({ name, epoch, offset }) {
      const wanted = { name, epoch: safeInteger(epoch, "epoch"), offset: safeInteger(offset, "offset") };
      return { acked: BigInt(await events.acknowledge(wanted)) };
    },
    async listSubscriptions() {
      return { subscriptions: (await events.subscriptions()).map(subscriptionMessage) };
    },
    async removeSubscription({ name, deviceId }) {
      const device = deviceId === "" ? {} : { deviceId: await devices.resolve(deviceId) };
      await events.removeSubscription({ name, ...device });
      return {};
    },
  };
}

async function subscribeOptions(request: SubscribeRequest, devices: Devices): Promise<SubscribeOptions> {
  return {
    after: safeInteger(request.after, "after"),
    tail: request.tail,
    ...(request.logId !== "" && { logId: request.logId }),
    ...(request.since !== undefined && { since: timestampMs(request.since) }),
    filter: await filterOf(request.filter, devices),
  };
}

async function consumeOptions(request: ConsumeRequest, devices: Devices, createdBy: string): Promise<ConsumeOptions> {
  const { name, tail, existing, skipLost, quota } = request;
  const limits = Object.entries({
    maxAgeMs: safeInteger(quota?.maxAgeMs ?? 0n, "max_age_ms"),
    maxEvents: safeInteger(quota?.maxEvents ?? 0n, "max_events"),
    maxBytes: safeInteger(quota?.maxBytes ?? 0n, "max_bytes"),
  });
  return {
    name,
    tail,
    existing,
    skipLost,
    createdBy,
    after: safeInteger(request.after, "after"),
    seen: safeInteger(request.seen, "seen"),
    ...(request.logId !== "" && { logId: request.logId }),
    quota: Object.fromEntries(limits.filter(([, value]) => value > 0)),
    ...(request.since !== undefined && { since: timestampMs(request.since) }),
    ...(request.filter !== undefined && { filter: await filterOf(request.filter, devices) }),
  };
}

async function filterOf(filter: EventFilter | undefined, devices: Devices): Promise<LogFilter> {
  const { kinds = [], devices: named = [], labels = [] } = filter ?? {};
  return {
    ...(kinds.length > 0 && { kinds }),
    ...(labels.length > 0 && { labels }),
    ...(named.length > 0 && { devices: await Promise.all(named.map((device) => devices.resolve(device))) }),
  };
}

function quarantinedMessage(row: QuarantinedRow) {
  const { deviceId, outboxEpoch, kind, data } = row;
  return {
    id: BigInt(row.id),
    offset: BigInt(row.offset ?? 0),
    seq: BigInt(row.seq),
    time: timestamp(row.time),
    received: timestamp(row.received),
    deviceId,
    outboxEpoch,
    kind,
    data,
  };
}

/** How a subscriber wants its events. */
interface EventForm {
  readonly encoded: boolean;
  readonly appending: Appending | undefined;
}

/** @param field of encoded events */
function batchMessage(batch: LogBatch, { encoded, appending }: EventForm, field: DescField) {
  const position = { logId: batch.logId, caughtUp: BigInt(batch.caughtUp) };
  if (!encoded) return { ...position, events: eventRows(batch).map(eventMessage) };
  const bytes = eventBytes(batch.events);
  if (appending === undefined || bytes.length === 0) return { ...position, encodedEvents: bytes };
  appending.append({ field, bytes, release: batch.release });
  return position;
}

function consumedMessage({ opened, ...batch }: ConsumedBatch, form: EventForm) {
  const message = batchMessage(batch, form, EventService.method.consume.output.field.encodedEvents);
  if (opened === undefined) return message;
  const { epoch, acked, created, lost } = opened;
  return { ...message, opened: { epoch: BigInt(epoch), acked: BigInt(acked), created, lost: BigInt(lost) } };
}

function subscriptionMessage(view: SubscriptionView): MessageInitShape<typeof SubscriptionSchema> {
  const { name, createdBy, quota, lapsed, isHeld } = view;
  return {
    name,
    deviceId: view.deviceId ?? "",
    filter: filterMessage(view.filter),
    createdBy,
    createdAt: timestamp(view.createdAt),
    lastSeenAt: timestamp(view.lastSeenAt),
    acked: BigInt(view.acked),
    epoch: BigInt(view.epoch),
    quota: {
      maxAgeMs: BigInt(quota.maxAgeMs),
      maxEvents: BigInt(quota.maxEvents),
      maxBytes: BigInt(quota.maxBytes),
    },
    pending: BigInt(view.pending),
    held: isHeld,
    lapsedAt: lapsed === undefined ? undefined : timestamp(lapsed.at),
    lapsedBy: lapsed?.by ?? "",
  };
}
