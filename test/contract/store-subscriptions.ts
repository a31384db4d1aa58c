import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventRows } from "../../packages/gateway/src/store/event-rows.ts";
import type { StoreUnderTest } from "./store.ts";
import { deviceIdOf, enrollInput, epochOf, eventsOf, sessionInput, T0 } from "./store-fixtures.ts";

const A = deviceIdOf("A");
const B = deviceIdOf("B");
const WIDE = { maxAgeMs: 1e12, maxEvents: 1e9, maxBytes: 1e12 };
const KEY = { owner: "operator", name: "export" };
const wanted = (change: { after?: number; filter?: object; quota?: Partial<typeof WIDE> } = {}) => ({
  ...KEY,
  now: T0,
  create: {
    after: change.after ?? 0,
    filter: change.filter ?? {},
    quota: { ...WIDE, ...change.quota },
    createdBy: "tests",
    maxPerOwner: 4,
    maxTotal: 6,
  },
});

async function ready(under: StoreUnderTest, count = 0): Promise<void> {
  for (const device of [A, B]) {
    await under.store.devices.enroll({ ...enrollInput(device), labels: device === A ? ["gpu"] : ["disk", "arm"] });
    await under.store.sessions.open(sessionInput(device));
  }
  if (count > 0) await append(under, 1, count);
}

async function append(under: StoreUnderTest, first: number, count: number, now = T0, deviceId = A): Promise<void> {
  const events = eventsOf(first, count);
  await under.store.events.append({ deviceId, outboxEpoch: epochOf(1), first, events, now });
}

/** Durable subscriptions, and what they mean to retention. */
export function subscriptionContract(open: () => Promise<StoreUnderTest>): void {
  describe("durable subscriptions", () => {
    test("a subscription is made once and keeps its cursor, filter and quota over restarts", async () => {
      await using under = await open();
      await ready(under, 10);
      const filter = { kinds: ["b", "a"], labels: ["gpu"] };
      const first = await under.store.subscriptions.open(wanted({ after: 3, filter }));
      expect(first).toMatchObject({ created: true, lost: 0, subscription: { acked: 3, epoch: 1 } });
      await under.store.subscriptions.acknowledge({ ...KEY, epoch: 1, offset: 7, now: T0 + 5 });
      const store = await under.reopen();
      const again = await store.subscriptions.open(
        wanted({ after: 9, filter: { kinds: ["a", "b", "a"], labels: ["gpu"] } }),
      );
      expect(again).toMatchObject({
        created: false,
        subscription: { acked: 7, epoch: 2, quota: WIDE, createdBy: "tests" },
      });
      expect(again.subscription.filter).toEqual({ kinds: ["a", "b"], labels: ["gpu"] });
      expect(await store.subscriptions.open({ ...KEY, now: T0 })).toMatchObject({
        subscription: { epoch: 3, acked: 7 },
      });
      await expect(store.subscriptions.open(wanted())).rejects.toMatchObject({ code: "SUBSCRIPTION_EXISTS" });
    });

    test("a cursor never goes back, nor past the log", async () => {
      await using under = await open();
      await ready(under, 10);
      await under.store.subscriptions.open(wanted());
      const ack = (offset: number) => under.store.subscriptions.acknowledge({ ...KEY, epoch: 1, offset, now: T0 });
      expect([await ack(4), await ack(2), await ack(10)].map(({ acked }) => acked)).toEqual([4, 4, 10]);
      await expect(ack(11)).rejects.toMatchObject({ code: "RESUME_FUTURE", metadata: { latest: "10" } });
      await expect(under.store.subscriptions.open({ ...wanted({ after: 11 }), name: "far" })).rejects.toMatchObject({
        code: "RESUME_FUTURE",
      });
    });

    test("a new one that begins behind what it says it has seen, where that is gone, is refused or says what it misses", async () => {
      await using under = await open();
      await ready(under, 20);
      await under.store.events.compact({ upTo: 11 });
      const { subscriptions } = under.store;
      await expect(subscriptions.open(wanted({ after: 4 }))).rejects.toMatchObject({
        code: "RESUME_COMPACTED",
        metadata: { earliest: "12", acked: "4", lost: "7" },
      });
      expect(await subscriptions.get(KEY)).toBeUndefined();
      expect(await subscriptions.open({ ...wanted({ after: 4 }), skipLost: true })).toMatchObject({
        created: true,
        lost: 7,
        subscription: { acked: 11 },
      });
      // Whoever has seen nothing misses nothing.
      expect(await subscriptions.open({ ...wanted(), name: "all" })).toMatchObject({
        lost: 0,
        subscription: { acked: 11 },
      });
    });

    test("who held one that was removed cannot acknowledge to another of its name", async () => {
      await using under = await open();
      await ready(under, 10);
      const { subscriptions } = under.store;
      const held = await subscriptions.open(wanted());
      await subscriptions.remove(KEY);
      const next = await subscriptions.open(wanted());
      expect(next).toMatchObject({ created: true, subscription: { acked: 0 } });
      expect(next.subscription.epoch).toBeGreaterThan(held.subscription.epoch);
      const late = subscriptions.acknowledge({ ...KEY, epoch: held.subscription.epoch, offset: 9, now: T0 });
      await expect(late).rejects.toMatchObject({ code: "SUBSCRIPTION_TAKEN" });
      expect(await subscriptions.get(KEY)).toMatchObject({ acked: 0 });
    });

    test("a consumer removes only what it still holds", async () => {
      await using under = await open();
      await ready(under, 1);
      const { subscriptions } = under.store;
      await subscriptions.open(wanted());
      await subscriptions.open({ ...KEY, now: T0 });
      expect(await subscriptions.remove({ ...KEY, epoch: 1 })).toBe(false);
      expect(await subscriptions.get(KEY)).toMatchObject({ epoch: 2 });
      expect(await subscriptions.remove({ ...KEY, epoch: 2 })).toBe(true);
    });

    test("whoever opens takes it, and the one before cannot move the cursor any more", async () => {
      await using under = await open();
      await ready(under, 10);
      const { subscriptions } = under.store;
      await subscriptions.open(wanted());
      await subscriptions.open({ ...KEY, now: T0 });
      await expect(subscriptions.acknowledge({ ...KEY, epoch: 1, offset: 5, now: T0 })).rejects.toMatchObject({
        code: "SUBSCRIPTION_TAKEN",
        metadata: { epoch: "2" },
      });
      expect(await subscriptions.get(KEY)).toMatchObject({ acked: 0, epoch: 2 });
    });

    test("names belong to their owner, and there are only so many", async () => {
      await using under = await open();
      await ready(under, 1);
      const { subscriptions } = under.store;
      for (const name of ["a", "b", "c", "d"]) await subscriptions.open({ ...wanted(), name });
      await expect(subscriptions.open({ ...wanted(), name: "e" })).rejects.toMatchObject({
        code: "SUBSCRIPTION_LIMIT",
        metadata: { limit: "4" },
      });
      const owner = `device:${A}`;
      await subscriptions.open({ ...wanted(), owner, name: "a" });
      await subscriptions.open({ ...wanted(), owner, name: "b" });
      await expect(subscriptions.open({ ...wanted(), owner, name: "c" })).rejects.toMatchObject({
        metadata: { limit: "6" },
      });
      expect((await subscriptions.list({ owner })).map(({ name }) => name)).toEqual(["a", "b"]);
      expect(await subscriptions.list({})).toHaveLength(6);
      expect(await subscriptions.remove({ owner, name: "a" })).toBe(true);
      expect(await subscriptions.remove({ owner, name: "a" })).toBe(false);
      await expect(subscriptions.open({ owner, name: "a", now: T0 })).rejects.toMatchObject({
        code: "SUBSCRIPTION_NOT_FOUND",
      });
    });

    test("the subscriptions of a revoked device go with it", async () => {
      await using under = await open();
      await ready(under, 1);
      await under.store.subscriptions.open({ ...wanted(), owner: `device:${A}` });
      await under.store.subscriptions.open({ ...wanted(), owner: `device:${B}` });
      await under.store.devices.revoke({ deviceId: A, receiptId: "r", reason: "", now: T0 });
      expect((await under.store.subscriptions.list({})).map(({ owner }) => owner)).toEqual([`device:${B}`]);
    });

    test("retention goes as far as the slowest subscription, and no further than it wants", async () => {
      await using under = await open();
      await ready(under, 20);
      const { subscriptions } = under.store;
      expect(await subscriptions.floor({ wanted: 12, now: T0 })).toEqual({ upTo: 12, heldBy: [], lapsed: [] });
      await subscriptions.open({ ...wanted({ after: 9 }), name: "nine" });
      await subscriptions.open({ ...wanted({ after: 15 }), name: "fifteen" });
      expect(await subscriptions.floor({ wanted: 12, now: T0 })).toEqual({
        upTo: 9,
        heldBy: [{ owner: "operator", name: "nine" }],
        lapsed: [],
      });
      expect(await subscriptions.floor({ wanted: 5, now: T0 })).toMatchObject({ upTo: 5, heldBy: [] });
      expect(await subscriptions.floor({ wanted: 99, now: T0 })).toMatchObject({ upTo: 9 });
    });

    test.each([
      ["age", { maxAgeMs: 1000 }, T0 + 1000, T0 + 1001],
      ["events", { maxEvents: 6 }, 10, 11],
      ["bytes", { maxBytes: 6 }, 10, 11],
    ] as const)(
      "one that holds back more than its quota in %s lapses, is told of once, and holds no more",
      async (by, quota, still, over) => {
        await using under = await open();
        await ready(under, 20);
        const { subscriptions, events } = under.store;
        await subscriptions.open(wanted({ after: 4, quota }));
        const at = (value: number) => (by === "age" ? { wanted: 11, now: value } : { wanted: value, now: T0 });
        expect(await subscriptions.floor(at(still))).toMatchObject({ upTo: 4, lapsed: [] });
        const floor = await subscriptions.floor(at(over));
        expect(floor).toMatchObject({ upTo: 11, heldBy: [], lapsed: [{ name: "export", lapsed: { by } }] });
        expect(await subscriptions.floor(at(over))).toMatchObject({ upTo: 11, lapsed: [] });
        await events.compact({ upTo: 11 });
        // Its next consumer hears what is gone, until it says that it goes on without.
        for (let turn = 0; turn < 2; turn += 1) {
          await expect(subscriptions.open({ ...KEY, now: T0 })).rejects.toMatchObject({
            code: "RESUME_COMPACTED",
            metadata: { earliest: "12", acked: "4", lost: "7" },
          });
        }
        const skipped = await subscriptions.open({ ...KEY, skipLost: true, now: T0 });
        expect(skipped).toMatchObject({ lost: 7, subscription: { acked: 11, lapsed: undefined } });
      },
    );

    test("a lapse before anything was dropped costs nothing", async () => {
      await using under = await open();
      await ready(under, 20);
      const { subscriptions } = under.store;
      await subscriptions.open(wanted({ quota: { maxEvents: 3 } }));
      await subscriptions.floor({ wanted: 10, now: T0 });
      expect(await subscriptions.get(KEY)).toMatchObject({ lapsed: { at: T0, by: "events" } });
      expect(await subscriptions.open({ ...KEY, now: T0 })).toMatchObject({
        lost: 0,
        subscription: { lapsed: undefined },
      });
    });

    test("a filter on labels passes what the devices are labelled at the read, and nothing where nobody is", async () => {
      await using under = await open();
      await ready(under, 3);
      await append(under, 1, 2, T0, B);
      const read = async (labels: readonly string[]) => {
        const page = await under.store.events.read({ after: 0, limit: 10, maxBytes: 1e6, filter: { labels } });
        return eventRows(page).map(({ offset }) => offset);
      };
      expect([await read(["gpu"]), await read(["disk", "arm"]), await read(["none"]), await read([])]).toEqual([
        [1, 2, 3],
        [4, 5],
        [],
        [1, 2, 3, 4, 5],
      ]);
      await under.store.devices.enroll({ ...enrollInput(B, "again"), labels: ["gpu"] });
      expect([await read(["gpu"]), await read(["disk"])]).toEqual([[1, 2, 3, 4, 5], []]);
    });
  });

  describe("finding a time in the log", () => {
    test("begins at the first event that came then or later, however the clock jumped and whatever is gone", async () => {
      // Steps between batches: mostly on, sometimes back, with stretches longer than the distance of two marks.
      const step = fc.record({ count: fc.integer({ min: 1, max: 700 }), jump: fc.integer({ min: -5, max: 5 }) });
      const plan = fc.record({
        steps: fc.array(step, { minLength: 1, maxLength: 8 }),
        dropped: fc.double({ min: 0, max: 1, noNaN: true }),
      });
      await using under = await open();
      await ready(under);
      let next = 1;
      let now = T0;
      const received: number[] = [];
      await fc.assert(
        fc.asyncProperty(plan, async ({ steps, dropped }) => {
          for (const { count, jump } of steps) {
            now = Math.max(1, now + jump * 1000);
            await append(under, next, count, now);
            next += count;
            received.push(...Array.from({ length: count }, () => now));
          }
          const { earliest } = await under.store.events.bounds();
          const upTo = Math.floor(earliest - 1 + (received.length - earliest + 1) * dropped * 0.5);
          await under.store.events.compact({ upTo });
          const kept = await under.store.events.bounds();
          for (const since of [0, ...new Set(received.slice(-1500)), now + 1]) {
            // What is gone counts no more, also where it came later than what is kept: the clock went back.
            const first = received.findIndex((at, index) => index >= kept.earliest - 1 && at >= since);
            expect(await under.store.events.seek({ since })).toBe(first === -1 ? received.length : first);
          }
        }),
        { numRuns: 8 },
      );
    });

    test("an empty log begins at its end", async () => {
      await using under = await open();
      expect(await under.store.events.seek({ since: T0 })).toBe(0);
    });
  });
}
