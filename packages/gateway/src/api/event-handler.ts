import type { ServiceImpl } from "@connectrpc/connect";
import type { EventService, SubscribeRequest } from "@quaymesh/api";
import type { DeviceService as Devices } from "../devices/service.ts";
import type { EventService as Events, LogBatch, SubscribeOptions } from "../events/service.ts";
import type { QuarantinedRow } from "../store/port-events.ts";
import { eventMessage, timestamp } from "./encode.ts";
import { safeInteger } from "./numbers.ts";

const DEFAULT_QUARANTINED = 100;
/** At most 64 KiB of data each. */
const MAX_QUARANTINED = 1000;

/** `quaymesh.v1.EventService` on the core's event log. */
export function eventHandler(events: Events, devices: Devices): ServiceImpl<typeof EventService> {
  return {
    async *subscribe(request, { signal }) {
      const options = await subscribeOptions(request, devices);
      for await (const batch of events.batches({ ...options, signal })) yield batchMessage(batch);
    },
    async listQuarantined({ device, limit, beforeId }) {
      const rows = await events.quarantined({
        ...(device !== "" && { deviceId: await devices.resolve(device) }),
        ...(beforeId > 0n && { beforeId: safeInteger(beforeId, "before_id") }),
        limit: Math.min(limit === 0 ? DEFAULT_QUARANTINED : limit, MAX_QUARANTINED),
      });
      return { events: rows.map(quarantinedMessage) };
    },
  };
}

async function subscribeOptions(request: SubscribeRequest, devices: Devices): Promise<SubscribeOptions> {
  const named = request.filter?.devices ?? [];
  const kinds = request.filter?.kinds ?? [];
  return {
    after: safeInteger(request.after, "after"),
    tail: request.tail,
    ...(request.logId !== "" && { logId: request.logId }),
    filter: {
      ...(kinds.length > 0 && { kinds }),
      ...(named.length > 0 && { devices: await Promise.all(named.map((device) => devices.resolve(device))) }),
    },
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

function batchMessage({ logId, events, caughtUp }: LogBatch) {
  return { logId, events: events.map(eventMessage), caughtUp: BigInt(caughtUp) };
}
