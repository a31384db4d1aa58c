import { decodeEvents, encodeEvents, eventBytes, MAX_BATCH_EVENTS, SUBSCRIBER_WINDOW } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ReadAhead } from "../../src/events/read-ahead.ts";
import { SharedReads, type PageWanted } from "../../src/events/shared-reads.ts";
import type { EventPage, ReadEvents } from "../../src/store/port-events.ts";

/** A log whose pages hold `pageEvents` at most. An event's seq tells the generation it was read under. */
function logOf(latest: number, pageEvents: number) {
  const reads: PageWanted[] = [];
  const read = async (wanted: PageWanted): Promise<EventPage> => {
    reads.push(wanted);
    const count = Math.min(pageEvents, latest - wanted.after);
    const events = Array.from({ length: count }, (_, index) => ({
      offset: wanted.after + index + 1,
      device: "d",
      outboxEpoch: new Uint8Array(),
      seq: wanted.generation,
      kind: "k",
      time: 0,
      received: 0,
      data: new Uint8Array(10),
    }));
    return { events: encodeEvents(events), scannedTo: wanted.after + count, earliest: 1, latest };
  };
  const released: EventPage[] = [];
  const release = (page: EventPage) => {
    released.push(page);
    page.events.bytes.buffer.transfer(0);
  };
  return { reads, read, released, release };
}

const room = (maxEvents: number, creditEvents: number) => ({ maxEvents, maxBytes: 1e9, creditEvents });

test("however credit comes and rules change, each event comes once, in order, read under the rules it was asked for", async () => {
  const step = fc.record({
    maxEvents: fc.integer({ min: 1, max: 12 }),
    more: fc.integer({ min: 0, max: 60 }),
    changes: fc.boolean(),
    drops: fc.boolean(),
    again: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 15 }), fc.array(step, { maxLength: 30 }), async (size, steps) => {
      const log = logOf(80, size);
      const ahead = new ReadAhead(log);
      let after = 0;
      let generation = 1;
      for (const { maxEvents, more, changes, drops, again } of steps) {
        if (changes) generation += 1;
        if (drops) ahead.drop();
        const page = await ahead.read({ after, filter: {}, generation }, room(maxEvents, maxEvents + more));
        const events = decodeEvents(eventBytes(page.events));
        const offsets = events.map(({ offset }) => offset);
        expect(offsets).toEqual(offsets.map((_, index) => after + index + 1));
        expect(events.every(({ seq }) => seq === generation)).toBe(true);
        expect(page.scannedTo).toBe(after + offsets.length);
        expect(offsets.length > 0 || after === 80).toBe(true);
        // What could not be sent is asked for again.
        if (!again) after = page.scannedTo;
      }
    }),
  );
});

test("a page is read once however it is cut, and the next one only where there is credit for it", async () => {
  const log = logOf(30, 10);
  const ahead = new ReadAhead(log);
  const afters = () => log.reads.map(({ after }) => after);
  await ahead.read({ after: 0, filter: {}, generation: 1 }, room(4, 10));
  expect(afters()).toEqual([0]);
  await ahead.read({ after: 4, filter: {}, generation: 1 }, room(4, 7));
  expect(afters()).toEqual([0, 10]);
  await ahead.read({ after: 8, filter: {}, generation: 1 }, room(4, 3));
  await ahead.read({ after: 10, filter: {}, generation: 1 }, room(4, 4));
  expect(afters()).toEqual([0, 10]);
});

test("no more is read than there is credit for, about", async () => {
  const log = logOf(30, 10);
  const ahead = new ReadAhead(log);
  await ahead.read({ after: 0, filter: {}, generation: 1 }, room(4, 25));
  expect(log.reads.map(({ most }) => most)).toEqual([25, 15]);
});

test("a node that has used half of its window, when it gives more, has the next page read while it is sent this one", async () => {
  const afters: number[] = [];
  const read = async ({ after, filter, limit }: ReadEvents): Promise<EventPage> => {
    afters.push(after);
    return await logOf(10_000, limit).read({ after, filter, generation: 1 });
  };
  const ahead = new ReadAhead(new SharedReads({ read }));
  const half = SUBSCRIBER_WINDOW.windowEvents / 2;
  const page = await ahead.read({ after: 0, filter: {}, generation: 1 }, room(MAX_BATCH_EVENTS, half));
  expect(page.scannedTo).toBe(MAX_BATCH_EVENTS);
  expect(afters).toHaveLength(2);
});

test("a page is let go when the next one is begun, and not before", async () => {
  const log = logOf(30, 10);
  const ahead = new ReadAhead(log);
  for (const [after, released] of [
    [0, 0],
    [4, 0],
    [8, 0],
    [10, 1],
    [14, 1],
    [20, 2],
  ] as const) {
    await ahead.read({ after, filter: {}, generation: 1 }, room(4, 30));
    expect(log.released).toHaveLength(released);
  }
  expect(new Set(log.released).size).toBe(2);
});

test("a page that could not be read ahead fails whoever comes for it, and is then read again", async () => {
  const log = logOf(30, 10);
  let broken = true;
  const read = async (wanted: PageWanted): Promise<EventPage> => {
    if (wanted.after === 10 && broken) throw new Error("the disk is gone");
    return await log.read(wanted);
  };
  const ahead = new ReadAhead({ read, release: log.release });
  expect((await ahead.read({ after: 0, filter: {}, generation: 1 }, room(10, 20))).scannedTo).toBe(10);
  const next = { after: 10, filter: {}, generation: 1 };
  await expect(ahead.read(next, room(10, 20))).rejects.toThrow("the disk is gone");
  broken = false;
  expect((await ahead.read(next, room(10, 20))).scannedTo).toBe(20);
});
