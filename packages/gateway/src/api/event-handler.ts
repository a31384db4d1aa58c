import type { ServiceImpl } from "@connectrpc/connect";
import type { EventService, SubscribeRequest } from "@quaymesh/api";
import type { DeviceService as Devices } from "../devices/service.ts";
import type { EventService as Events, LogBatch, SubscribeOptions } from "../events/service.ts";
import { eventMessage } from "./encode.ts";
import { safeInteger } from "./numbers.ts";

/** `quaymesh.v1.EventService` on the core's event log. */
export function eventHandler(events: Events, devices: Devices): ServiceImpl<typeof EventService> {
  return {
    async *subscribe(request, { signal }) {
      const options = await subscribeOptions(request, devices);
      for await (const batch of events.batches({ ...options, signal })) yield batchMessage(batch);
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

function batchMessage({ logId, events, caughtUp }: LogBatch) {
  return { logId, events: events.map(eventMessage), caughtUp: BigInt(caughtUp) };
}
