import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  dataBytes,
  decodeEvents,
  encodeEvents,
  eventBytes,
  encodeFrame,
  eventCount,
  eventsBehind,
  eventsFrame,
  firstEvents,
  lastOffset,
  parseSubscriptionMessage,
} from "@quaymesh/protocol";

const event = fc.record({
  offset: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  device: fc.constantFrom("01JD0000000000000000000000", "01JD0000000000000000000001"),
  outboxEpoch: fc.constantFrom(new Uint8Array(16), new Uint8Array(16).fill(1)),
  seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  kind: fc.string({ minLength: 1, maxLength: 8, unit: "grapheme" }),
  time: fc.oneof(fc.maxSafeNat(), fc.nat(70_000)),
  received: fc.maxSafeNat(),
  data: fc.uint8Array({ minLength: 1, maxLength: 40 }),
});

test("events come out as they went in, through a move to another thread", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      const encoded = encodeEvents(events);
      const moved = structuredClone(encoded, { transfer: [encoded.bytes.buffer, encoded.marks.buffer] });
      expect(decodeEvents(eventBytes(moved))).toEqual(events);
      expect(lastOffset(moved)).toBe(events.at(-1)?.offset);
    }),
  );
});

test("every piece that credit cuts is the frame that would have been encoded for it, and none is left out", () => {
  const room = fc.record({ maxEvents: fc.integer({ min: 1, max: 40 }), maxBytes: fc.integer({ min: 1, max: 300 }) });
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 40 }), room, (events, { maxEvents, maxBytes }) => {
      let rest = encodeEvents(events);
      let taken = 0;
      while (eventCount(rest) > 0) {
        const first = firstEvents(rest, maxEvents, maxBytes);
        const piece = events.slice(taken, taken + eventCount(first));
        const frame = Buffer.concat(eventsFrame(first));
        expect(frame.equals(encodeFrame({ type: "events", events: piece }))).toBe(true);
        expect(parseSubscriptionMessage(frame.subarray(4))).toEqual({ type: "events", events: piece });
        expect(dataBytes(first)).toBe(piece.reduce((sum, { data }) => sum + data.length, 0));
        if (piece.length > 1) expect(dataBytes(first)).toBeLessThanOrEqual(maxBytes);
        expect(piece.length).toBeGreaterThan(0);
        expect(piece.length).toBeLessThanOrEqual(maxEvents);
        taken += piece.length;
        rest = eventsBehind(rest, first);
      }
      expect(taken).toBe(events.length);
    }),
  );
});

test("a frame of three hundred says so in two bytes", () => {
  const one = { offset: 1, device: "01JD0000000000000000000000", outboxEpoch: new Uint8Array(16), seq: 1, kind: "k" };
  const events = Array.from({ length: 300 }, () => ({ ...one, time: 0, received: 0, data: new Uint8Array(3) }));
  expect(Buffer.concat(eventsFrame(encodeEvents(events))).equals(encodeFrame({ type: "events", events }))).toBe(true);
});

test("an event that no peer would take is encoded all the same, and changes nothing in its neighbours", () => {
  const sound = { offset: 1, device: "01JD0000000000000000000000", outboxEpoch: new Uint8Array(16), seq: 1, kind: "k" };
  const events = [
    { ...sound, time: 0, received: 0, data: Uint8Array.of(1) },
    { ...sound, device: "\u00e9".repeat(26), time: 1.5, received: -1, data: new Uint8Array(0) },
    { ...sound, outboxEpoch: new Uint8Array(3), time: 0, received: 0, data: Uint8Array.of(2) },
    { ...sound, time: 0, received: 0, data: Uint8Array.of(3) },
  ];
  expect(decodeEvents(eventBytes(encodeEvents(events)))).toEqual(events);
});
