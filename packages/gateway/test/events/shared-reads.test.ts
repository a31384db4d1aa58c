import { decodeEvents, encodeEvents, eventBytes, eventCount } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { cutPage, SharedReads } from "../../src/events/shared-reads.ts";
import type { EventPage } from "../../src/store/port-events.ts";
import type { Store } from "../../src/store/port.ts";
import { ticks } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";

const pageOf = (sizes: readonly number[]): EventPage => ({
  events: encodeEvents(
    sizes.map((size, index) => ({
      offset: 10 + index * 2,
      device: "d",
      outboxEpoch: new Uint8Array(),
      seq: index + 1,
      kind: "k",
      time: 0,
      received: 0,
      data: new Uint8Array(size),
    })),
  ),
  scannedTo: 99,
  earliest: 1,
  latest: 99,
});

test("a page is cut to a reader's credit, and what was cut off is left to read", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 20 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 25 }), fc.integer({ min: 1, max: 300 }), (given, most, bytes) => {
      const page = pageOf(given);
      const cut = cutPage(page, most, bytes);
      const taken = eventCount(cut.events);
      const events = decodeEvents(eventBytes(page.events));
      expect(decodeEvents(eventBytes(cut.events))).toEqual(events.slice(0, taken));
      expect(taken).toBeLessThanOrEqual(most);
      const size = (count: number) => given.slice(0, count).reduce((sum, each) => sum + each, 0);
      if (taken > 1) expect(size(taken)).toBeLessThanOrEqual(bytes);
      if (taken < given.length) {
        expect(taken).toBeGreaterThan(0);
        expect(cut.scannedTo).toBe(events[taken - 1]?.offset);
        // One more would not have fitted.
        expect(taken === most || size(taken + 1) > bytes).toBe(true);
      } else expect(cut.scannedTo).toBe(99);
    }),
  );
});

test("only what is the same, and begun under the same rules, is read together; a failure is everyone's, and not kept", async () => {
  let reads = 0;
  let gate = Promise.withResolvers<EventPage>();
  const pages = new SharedReads({
    read: () => {
      reads += 1;
      return gate.promise;
    },
  });
  const wanted = { after: 3, filter: { kinds: ["a"] }, generation: 1 };
  const same = [pages.read(wanted), pages.read({ ...wanted, filter: { kinds: ["a"] } })];
  const others = [{ after: 4 }, { filter: {} }, { grants: [] }, { generation: 2 }];
  const different = others.map((change) => pages.read({ ...wanted, ...change }));
  expect(reads).toBe(5);
  gate.reject(new Error("the disk is gone"));
  for (const page of [...same, ...different]) await expect(page).rejects.toThrow("the disk is gone");
  gate = Promise.withResolvers();
  gate.resolve(pageOf([1]));
  await pages.read(wanted);
  expect(reads).toBe(6);
});

test("who has room for one event does not have a whole page read, and who has room for about as much as another shares with it", async () => {
  const limits: number[] = [];
  const pages = new SharedReads({
    read: ({ limit }) => {
      limits.push(limit);
      return Promise.resolve(pageOf([1]));
    },
  });
  const wanted = { after: 3, filter: {}, generation: 1 };
  await Promise.all([1, 3, 5, 600, 900, 5000].map((most) => pages.read({ ...wanted, most })));
  await pages.read(wanted);
  expect(limits).toEqual([4, 16, 1024, 1024]);
});

test("a page's memory is free once all who were given it have let it go", async () => {
  const gate = Promise.withResolvers<EventPage>();
  const pages = new SharedReads({ read: () => gate.promise });
  const wanted = { after: 3, filter: {}, generation: 1 };
  const readers = [pages.read(wanted), pages.read(wanted)];
  gate.resolve(pageOf([5, 6]));
  const [page, same] = await Promise.all(readers);
  if (page === undefined) throw new Error("there is no page");
  expect(same).toBe(page);
  pages.release(page);
  expect(decodeEvents(eventBytes(page.events))).toHaveLength(2);
  pages.release(page);
  expect(page.events.bytes.buffer.detached).toBe(true);
  // More often than it was given: nothing more to do.
  pages.release(page);
});

test("many at the live end cost the store a read now and then, whoever they are; one that does not read holds nobody up", async () => {
  const many = 40;
  let reads = 0;
  const wrapStore = (store: Store): Store => ({
    ...store,
    events: {
      ...store.events,
      read(input) {
        reads += 1;
        return store.events.read(input);
      },
    },
  });
  await using gateway = await testGateway({ wrapStore });
  const writer = await gateway.connect(await gateway.enroll("w"));
  const publisher = await writer.publish();
  const readers = await Promise.all(
    Array.from(
      { length: 4 },
      async (_, index) => await gateway.connect(await gateway.enroll(`r${index}`, ["events-reader"])),
    ),
  );
  const slow = await (readers[0] ?? writer).subscribe({ creditEvents: 1 });
  await slow.next();
  const subscriptions = await Promise.all(
    Array.from({ length: many }, async (_, index) => await (readers[index % 4] ?? writer).subscribe()),
  );
  for (const subscription of subscriptions) {
    await subscription.next();
    expect(await subscription.next()).toEqual({ type: "caught-up", offset: 0 });
  }
  const before = reads;
  const rounds = 20;
  for (let seq = 1; seq <= rounds; seq += 1) await publisher.publish(seq, ticks(seq, 1));
  for (const subscription of subscriptions) expect(await subscription.events(rounds)).toHaveLength(rounds);
  // The slow one has its one event, and costs nothing more.
  expect(await slow.events(1)).toHaveLength(1);
  // What was just committed is given as it is; without that, each round would be a read at least.
  expect(reads - before).toBeLessThan(rounds);
});
