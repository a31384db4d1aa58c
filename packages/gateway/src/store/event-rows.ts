import { decodeEvents, eventBytes, type LoggedEvent } from "@quaymesh/protocol/core";
import type { EventPage } from "./port-events.ts";
import type { EventRow } from "./rows.ts";

/** The events of a page, for whoever looks into them. @throws {ProtocolError} `CBOR_INVALID` */
export function eventRows({ events }: Pick<EventPage, "events">): readonly EventRow[] {
  return decodeEvents(eventBytes(events)).map(eventRow);
}

function eventRow({ offset, device, outboxEpoch, seq, kind, time, received, data }: LoggedEvent): EventRow {
  return { offset, deviceId: device, outboxEpoch, seq, kind, time, received, data };
}
