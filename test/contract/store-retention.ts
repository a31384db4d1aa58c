import type { Store } from "@quaymesh/gateway";
import { encodeValue } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventRows } from "../../packages/gateway/src/store/event-rows.ts";
import type { StoreUnderTest } from "./store.ts";
import { deviceIdOf, enrollInput, epochOf, eventsOf, sessionInput, T0 } from "./store-fixtures.ts";

const A = deviceIdOf("A");
const ALL = { after: 0, limit: 10_000, maxBytes: 1 << 30, filter: {} };
const DAY = 86_400_000;
type Policy = Parameters<Store["events"]["retain"]>[0];
/** Keeps everything. */
const KEEP: Policy = { horizon: undefined, maxBytes: undefined, maxEvents: undefined, now: T0, limit: 1000 };

/** A log of one device; each number is when an event of it came. */
async function logOf(under: StoreUnderTest, received: readonly number[]): Promise<void> {
  await under.store.devices.enroll(enrollInput(A));
  await under.store.sessions.open(sessionInput(A));
  for (const [index, now] of received.entries()) await append(under, index + 1, now);
}

type Opened = Pick<StoreUnderTest, "store">;

const ofA = { deviceId: A, outboxEpoch: epochOf(1) };

const append = (under: Opened, first: number, now: number, count = 1) =>
  under.store.events.append({
    deviceId: A,
    outboxEpoch: epochOf(1),
    first,
    events: eventsOf(first, count),
    now,
  });

/** Call until there is no more to do. @returns how many went */
async function retainAll(under: StoreUnderTest, policy: Partial<Policy>): Promise<number> {
  let dropped = 0;
  for (;;) {
    const result = await under.store.events.retain({ ...KEEP, ...policy });
    dropped += result.dropped;
    if (!result.more) return dropped;
  }
}

const offsets = async (under: Opened): Promise<readonly number[]> =>
  eventRows(await under.store.events.read(ALL)).map(({ offset }) => offset);

/** Retention of the event log. */
export function retentionContract(open: () => Promise<StoreUnderTest>): void {
  describe("retention", () => {
    test("without a bound nothing goes", async () => {
      await using under = await open();
      await logOf(under, [1, 2, 3]);
      expect(await retainAll(under, {})).toBe(0);
      expect(await offsets(under)).toEqual([1, 2, 3]);
    });

    test("what came at or before the horizon goes, oldest first, and stays known as committed", async () => {
      await using under = await open();
      await logOf(under, [T0, T0 + 1, T0 + 2, T0 + 3]);
      expect(await retainAll(under, { horizon: T0 + 1, now: T0 + 3 })).toBe(2);
      expect(await offsets(under)).toEqual([3, 4]);
      const opened = { store: await under.reopen() };
      // Sent again, whole: two are gone, two are there, one is new.
      expect(await append(opened, 1, T0 + 4, 5)).toMatchObject({ ackedSeq: 5, inserted: 1, conflicts: [] });
      expect(await offsets(opened)).toEqual([3, 4, 5]);
    });

    test("beyond the bound of events or bytes the oldest go, however young", async () => {
      await using under = await open();
      await logOf(under, []);
      await append(under, 1, T0, 10);
      expect(await retainAll(under, { maxEvents: 7 })).toBe(3);
      const { bytes } = await under.store.events.usage();
      expect(await retainAll(under, { maxBytes: bytes - 1 })).toBe(1);
      expect(await offsets(under)).toEqual([5, 6, 7, 8, 9, 10]);
      expect(await retainAll(under, { maxBytes: 0 })).toBe(6);
      expect(await under.store.events.usage()).toMatchObject({ bytes: 0, earliest: 11, latest: 10 });
    });

    test("one call drops no more than it may, and says that there is more", async () => {
      await using under = await open();
      await logOf(under, []);
      await append(under, 1, T0, 10);
      const policy = { ...KEEP, maxEvents: 1, limit: 4 };
      expect(await under.store.events.retain(policy)).toMatchObject({ dropped: 4, more: true });
      expect(await under.store.events.retain(policy)).toMatchObject({ dropped: 4, more: true });
      expect(await under.store.events.retain(policy)).toMatchObject({ dropped: 1 });
      expect(await under.store.events.retain(policy)).toMatchObject({ dropped: 0, more: false });
    });

    test("what is free on the disk beyond a share is given back in pieces, also while there is always something to drop", async () => {
      await using under = await open();
      await logOf(under, []);
      const big = Array.from({ length: 100 }, (_, index) => ({
        kind: "big",
        time: index,
        data: encodeValue(new Uint8Array(60_000)),
      }));
      for (let first = 1; first <= 601; first += 100)
        await under.store.events.append({ ...ofA, first, events: big, now: T0 });
      const before = await under.store.events.usage();
      await retainAll(under, { maxEvents: 10 });
      const after = await under.store.events.usage();
      expect(before.fileBytes).toBeGreaterThan(40_000_000);
      expect(after.fileBytes).toBeLessThan(before.fileBytes / 2);
      expect(after.freeBytes).toBeLessThan(10_000_000);
    });

    test("stamps of a clock that was ahead or behind neither hold the log up nor take the young along", async () => {
      await using under = await open();
      const ahead = T0 + 365 * DAY;
      const behind = T0 - 365 * DAY;
      await logOf(under, [T0, ahead, ahead, ahead, T0 + 1, T0 + 10, behind, T0 + 11]);
      expect(await retainAll(under, { horizon: T0 + 1, now: T0 + 20, limit: 2 })).toBe(5);
      expect(await offsets(under)).toEqual([6, 7, 8]);
      expect(await retainAll(under, { horizon: T0 + 10, now: T0 + 20 })).toBe(2);
      expect(await offsets(under)).toEqual([8]);
    });

    test("what the log holds is counted as it comes and goes, and never by looking through it", async () => {
      await using under = await open();
      await logOf(under, []);
      const step = fc.oneof(
        fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 20 }) }),
        fc.record({ kind: fc.constant("retain" as const), keep: fc.integer({ min: 0, max: 30 }) }),
        fc.record({ kind: fc.constant("compact" as const), ahead: fc.integer({ min: 0, max: 10 }) }),
        fc.constant({ kind: "record" as const }),
      );
      let next = 1;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
          for (const one of steps) {
            if (one.kind === "append") {
              await append(under, next, T0, one.count);
              next += one.count;
            } else if (one.kind === "retain") await retainAll(under, { maxEvents: one.keep, limit: 7 });
            else if (one.kind === "compact") {
              const { earliest } = await under.store.events.bounds();
              await under.store.events.compact({ upTo: earliest + one.ahead });
            } else await under.store.events.record({ deviceId: A, kind: "mesh.note", data: encodeValue(1), now: T0 });
          }
          const usage = await under.store.events.usage();
          const events = eventRows(await under.store.events.read(ALL));
          expect(usage.bytes).toBe(events.reduce((sum, { data }) => sum + data.length + 96, 0));
          expect(usage.latest + 1 - usage.earliest).toBe(events.length);
        }),
        { numRuns: 25 },
      );
    });
  });
}
