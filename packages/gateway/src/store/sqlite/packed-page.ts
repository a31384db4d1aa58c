/**
 * A page of events as it crosses the thread: two buffers that move, and a few strings. Cloned as objects, with two byte strings each, events cost both threads more than reading them from
 * disk does.
 */
import type { EventPage } from "../port-events.ts";
import type { EventRow } from "../rows.ts";

/** Numbers per event: offset, seq, time, received, index of kind, index of outbox, length of data. */
const STRIDE = 7;

/** See {@link packPage}. */
export interface PackedPage extends Omit<EventPage, "events"> {
  readonly kinds: readonly string[];
  readonly outboxes: readonly { readonly deviceId: string; readonly epoch: Uint8Array }[];
  readonly numbers: Float64Array<ArrayBuffer>;
  /** The bodies, one behind the other. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** @returns the page, and the buffers to move with it */
export function packPage({ events, ...bounds }: EventPage): {
  readonly page: PackedPage;
  readonly transfer: readonly ArrayBuffer[];
} {
  const kinds = new Map<string, number>();
  const outboxes = new Map<string, number>();
  const named: { readonly deviceId: string; readonly epoch: Uint8Array }[] = [];
  const numbers = new Float64Array(events.length * STRIDE);
  const data = new Uint8Array(events.reduce((sum, event) => sum + event.data.length, 0));
  let at = 0;
  let byte = 0;
  let last: EventRow | undefined;
  let outbox = 0;
  for (const event of events) {
    const kind = kinds.get(event.kind) ?? kinds.size;
    kinds.set(event.kind, kind);
    // Neighbours are mostly of one outbox, and then share its epoch: no need to spell it.
    if (last?.outboxEpoch !== event.outboxEpoch || last.deviceId !== event.deviceId) {
      const key = `${event.deviceId} ${Buffer.from(event.outboxEpoch).toString("hex")}`;
      outbox = outboxes.get(key) ?? named.push({ deviceId: event.deviceId, epoch: event.outboxEpoch }) - 1;
      outboxes.set(key, outbox);
    }
    last = event;
    numbers[at] = event.offset;
    numbers[at + 1] = event.seq;
    numbers[at + 2] = event.time;
    numbers[at + 3] = event.received;
    numbers[at + 4] = kind;
    numbers[at + 5] = outbox;
    numbers[at + 6] = event.data.length;
    at += STRIDE;
    data.set(event.data, byte);
    byte += event.data.length;
  }
  const page = { ...bounds, kinds: [...kinds.keys()], outboxes: named, numbers, data };
  return { page, transfer: [numbers.buffer, data.buffer] };
}

/** The page again. Bodies are views of the one buffer. */
export function unpackPage({ kinds, outboxes, numbers, data, ...bounds }: PackedPage): EventPage {
  const events: EventRow[] = [];
  let byte = 0;
  for (let at = 0; at < numbers.length; at += STRIDE) {
    const outbox = outboxes[numbers[at + 5] ?? 0];
    const length = numbers[at + 6] ?? 0;
    events.push({
      offset: numbers[at] ?? 0,
      deviceId: outbox?.deviceId ?? "",
      outboxEpoch: outbox?.epoch ?? new Uint8Array(),
      seq: numbers[at + 1] ?? 0,
      kind: kinds[numbers[at + 4] ?? 0] ?? "",
      time: numbers[at + 2] ?? 0,
      received: numbers[at + 3] ?? 0,
      data: data.subarray(byte, byte + length),
    });
    byte += length;
  }
  return { ...bounds, events };
}
