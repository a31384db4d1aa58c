import { encodeValue } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventRows } from "../../packages/gateway/src/store/event-rows.ts";
import type { AppendedPage } from "../../packages/gateway/src/store/port-events.ts";
import type { StoreUnderTest } from "./store.ts";
import { deviceIdOf, enrollInput, epochOf, eventsOf, sessionInput, T0 } from "./store-fixtures.ts";

const A = deviceIdOf("A");
const B = deviceIdOf("B");
const ALL = { after: 0, limit: 10_000, maxBytes: 1 << 30, filter: {} };

async function ready(under: StoreUnderTest): Promise<void> {
  for (const device of [A, B]) {
    await under.store.devices.enroll(enrollInput(device));
    await under.store.sessions.open(sessionInput(device));
  }
}

const batch = (first: number, count: number, deviceId = A) => ({
  deviceId,
  outboxEpoch: epochOf(1),
  first,
  events: eventsOf(first, count),
  now: T0,
});

/** The event log. */
export function eventContract(open: () => Promise<StoreUnderTest>): void {
  describe("the event log", () => {
    test("a replayed batch is acknowledged but not stored twice, after a restart too", async () => {
      await using under = await open();
      await ready(under);
      expect(await under.store.events.append(batch(1, 3))).toMatchObject({ ackedSeq: 3, inserted: 3, lastOffset: 3 });
      const store = await under.reopen();
      expect(await store.events.append(batch(1, 5))).toMatchObject({ ackedSeq: 5, inserted: 2, conflicts: [] });
      const events = eventRows(await store.events.read(ALL));
      expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
      expect(await store.events.watermark({ deviceId: A, outboxEpoch: epochOf(1) })).toBe(5);
    });

    test("bodies of any bytes and lengths come back as they were", async () => {
      const body = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 65_536 }));
      await fc.assert(
        fc.asyncProperty(fc.array(body, { minLength: 1, maxLength: 200 }), async (bodies) => {
          await using under = await open();
          await ready(under);
          const given = bodies.map((each) => (typeof each === "number" ? new Uint8Array(each).fill(each) : each));
          const events = given.map((data) => ({ kind: "test.tick", time: T0, data }));
          await under.store.events.append({ ...batch(1, 0), events });
          const read = eventRows(await under.store.events.read(ALL)).map(({ data }) => data);
          expect(read).toHaveLength(given.length);
          expect(read.every((data, index) => Buffer.from(data).equals(given[index] ?? new Uint8Array()))).toBe(true);
        }),
        { numRuns: 5 },
      );
    });

    test("a gap is answered with the sequence expected, and nothing of it is stored", async () => {
      await using under = await open();
      await ready(under);
      await under.store.events.append(batch(1, 2));
      expect(await under.store.events.append(batch(4, 2))).toEqual({ kind: "expected", seq: 3 });
      expect(await under.store.events.bounds()).toEqual({ earliest: 1, latest: 2 });
    });

    test("a sequence with another body is a conflict, and the first body stays", async () => {
      await using under = await open();
      await ready(under);
      await under.store.events.append(batch(1, 2));
      const forged = [{ kind: "test.tick", time: T0 + 1, data: encodeValue("forged") }, ...eventsOf(2, 2)];
      const answer = await under.store.events.append({ ...batch(1, 0), events: forged });
      expect(answer).toMatchObject({ kind: "stored", conflicts: [1], inserted: 1, ackedSeq: 3 });
      const events = eventRows(await under.store.events.read(ALL));
      expect(events.map(({ data }) => data)).toEqual([1, 2, 3].map((value) => encodeValue(value)));
    });

    test("quarantine has room for so much of one device, over all its outboxes, and for the others still", async () => {
      await using under = await open();
      await ready(under);
      const { events, sessions } = under.store;
      const forge = async (time: number, device = A, epoch = 1) => {
        const event = { kind: "forged", time, data: encodeValue(time) };
        const forged = Array.from({ length: 100 }, () => event);
        const answer = await events.append({ ...batch(1, 0, device), outboxEpoch: epochOf(epoch), events: forged });
        expect(answer).toMatchObject({ ackedSeq: 100, conflicts: { length: 100 } });
      };
      await events.append(batch(1, 100));
      await events.append(batch(1, 100, B));
      for (const time of [1, 2, 3, 4, 5, 6]) await forge(time);
      await sessions.open(sessionInput(A, epochOf(2)));
      await events.append({ ...batch(1, 100), outboxEpoch: epochOf(2) });
      for (const time of [1, 2, 3, 4, 5]) await forge(time, A, 2);
      await forge(1, B);
      const kept = await events.quarantined({ limit: 5000 });
      expect(kept.filter(({ deviceId }) => deviceId === A)).toHaveLength(1000);
      expect(kept.filter(({ deviceId }) => deviceId === B)).toHaveLength(100);
    });

    test("another outbox epoch of a device is another sequence", async () => {
      await using under = await open();
      await ready(under);
      await under.store.events.append(batch(1, 2));
      const opened = await under.store.sessions.open(sessionInput(A, epochOf(2)));
      expect(opened.ackedSeq).toBe(0);
      const answer = await under.store.events.append({ ...batch(1, 1), outboxEpoch: epochOf(2) });
      expect(answer).toMatchObject({ ackedSeq: 1, inserted: 1, lastOffset: 3 });
    });

    test("events of a revoked device are dropped", async () => {
      await using under = await open();
      await ready(under);
      await under.store.devices.revoke({ deviceId: A, receiptId: "r", reason: "", now: T0 });
      await expect(under.store.events.append(batch(1, 1))).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
      expect(await under.store.events.append(batch(1, 1, B))).toMatchObject({ inserted: 1 });
    });

    test("a unit that fails takes nothing with it of those that share its commit", async () => {
      await using under = await open();
      await ready(under);
      const { events, devices } = under.store;
      const answers = await Promise.allSettled([
        events.append(batch(1, 2)),
        devices.revoke({ deviceId: deviceIdOf("Z"), receiptId: "r", reason: "", now: T0 }),
        events.append(batch(1, 2, B)),
      ]);
      expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      expect(eventRows(await events.read(ALL))).toHaveLength(4);
    });

    test("what the gateway records of a device has its place in the log", async () => {
      await using under = await open();
      await ready(under);
      await under.store.events.append(batch(1, 1));
      const record = { deviceId: A, kind: "mesh.note", data: encodeValue(null), now: T0 };
      expect(await under.store.events.record(record)).toBe(2);
      expect(await under.store.events.record(record)).toBe(3);
      expect(await under.store.events.append(batch(2, 1))).toMatchObject({ ackedSeq: 2, lastOffset: 4 });
    });

    test("watchers who want it are given what was inserted, as a reader would get it", async () => {
      await using under = await open();
      await ready(under);
      const { store } = under;
      const pages: (AppendedPage | undefined)[] = [];
      store.watch((change) => pages.push(change.page));
      await store.events.append({ ...batch(1, 40), pageWanted: true });
      // Half of it is there already.
      await store.events.append({ ...batch(21, 40), pageWanted: true });
      await store.events.append({ ...batch(1, 40), pageWanted: true });
      await store.events.append(batch(1, 3, B));
      const variety = Array.from({ length: 100 }, (_, index) => eventsOf(4 + index, 1, `kind.${index}`)).flat();
      await store.events.append({ ...batch(4, 0, B), events: variety, pageWanted: true });
      const read = eventRows(await store.events.read(ALL));
      const [first, second, ...none] = pages;
      expect([first, second]).toMatchObject([
        { deviceId: A, kinds: [read[0]?.kind] },
        { deviceId: A, kinds: [read[0]?.kind] },
      ]);
      expect([first, second].map((page) => page && eventRows(page))).toEqual([read.slice(0, 40), read.slice(40, 60)]);
      // Nothing inserted, not wanted, and so many kinds that a filter would have to look at each event.
      expect(none).toEqual([undefined, undefined, undefined]);
    });

    test("pages follow each other without a gap, by count and by bytes, with a filter or none", async () => {
      await using under = await open();
      await ready(under);
      await under.store.events.append({ ...batch(1, 0), events: eventsOf(1, 30) });
      await under.store.events.append({ ...batch(1, 0, B), events: eventsOf(1, 30, "other.tick") });
      const page = fc.record({
        limit: fc.integer({ min: 1, max: 20 }),
        maxBytes: fc.integer({ min: 1, max: 60 }),
        filter: fc.constantFrom(
          {},
          { devices: [B] },
          { kinds: ["test.*"] },
          { kinds: ["other.tick", "none"] },
          { kinds: ["o*"] },
        ),
      });
      await fc.assert(
        fc.asyncProperty(page, async (input) => {
          const offsets: number[] = [];
          let after = 0;
          for (let turn = 0; turn < 200 && after < 60; turn++) {
            const page = await under.store.events.read({ ...input, after });
            expect(page.scannedTo).toBeGreaterThan(after);
            offsets.push(...eventRows(page).map(({ offset }) => offset));
            after = page.scannedTo;
          }
          const half = Array.from({ length: 30 }, (_, index) => index + 1);
          const { devices, kinds } = input.filter as { devices?: string[]; kinds?: string[] };
          const mine = devices === undefined && (kinds === undefined || kinds[0] === "test.*") ? half : [];
          const other = kinds?.[0] === "test.*" ? [] : half.map((offset) => offset + 30);
          expect(offsets).toEqual([...mine, ...other]);
        }),
        { numRuns: 30 },
      );
    });

    test("compaction moves the beginning and never an offset", async () => {
      await using under = await open();
      await ready(under);
      await under.store.events.append(batch(1, 5));
      expect(await under.store.events.compact({ upTo: 3 })).toBe(3);
      const store = await under.reopen();
      expect(await store.events.bounds()).toEqual({ earliest: 4, latest: 5 });
      expect(await store.events.compact({ upTo: 99 })).toBe(2);
      expect(await store.events.bounds()).toEqual({ earliest: 6, latest: 5 });
      // What is gone is still known as committed: a replay is no news, and no conflict.
      expect(await store.events.append(batch(4, 3))).toMatchObject({ inserted: 1, lastOffset: 6, conflicts: [] });
    });

    test("the log keeps its name over restarts, and each opening counts", async () => {
      await using under = await open();
      const { logId, generation } = under.store.meta;
      await under.store.meta.put("mesh", "harbor");
      const store = await under.reopen();
      expect(store.meta.logId).toBe(logId);
      expect(store.meta.generation).toBe(generation + 1);
      expect(await store.meta.get("mesh")).toBe("harbor");
    });
  });
}
