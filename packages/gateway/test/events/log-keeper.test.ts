import { decodeValue, encodeValue } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { eventRows } from "../../src/store/event-rows.ts";
import { LogKeeper, type RetentionPolicy } from "../../src/events/log-keeper.ts";
import { RetentionClock } from "../../src/events/retention-clock.ts";
import { GatewayError } from "../../src/errors.ts";
import type { Store } from "../../src/store/port.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLogger } from "../../src/logger.ts";
import { temporaryStore } from "../store/temporary-store.ts";
import { enrollInput, deviceIdOf, sessionInput, epochOf } from "../../../../test/contract/store-fixtures.ts";

const A = deviceIdOf("A");
const DAY = 86_400_000;
const YEAR = 365 * DAY;

/** A store of one device and a keeper on a clock that is turned by hand. */
async function kept(policy: RetentionPolicy, wrap: (store: Store) => Store = (store) => store) {
  const under = await temporaryStore();
  const clock = new FakeClock();
  await under.store.devices.enroll(enrollInput(A));
  await under.store.sessions.open(sessionInput(A));
  const lines: string[] = [];
  const say = (_fields: object, message: string) => void lines.push(message);
  const logger = { ...silentLogger, warn: say, error: say };
  const open = (change: RetentionPolicy = {}) =>
    LogKeeper.open({ store: wrap(under.store), policy: { ...policy, ...change }, clock, logger });
  let keeper = await open();
  let next = 1;
  return {
    store: under.store,
    clock,
    lines,
    get keeper() {
      return keeper;
    },
    async restart(change: RetentionPolicy = {}) {
      await keeper[Symbol.asyncDispose]();
      keeper = await open(change);
    },
    async append(count: number) {
      const events = Array.from({ length: count }, () => ({ kind: "k", time: 0, data: encodeValue(1) }));
      await under.store.events.append({
        deviceId: A,
        outboxEpoch: epochOf(1),
        first: next,
        events,
        now: clock.now(),
      });
      next += count;
    },
    earliest: async () => (await under.store.events.bounds()).earliest,
    /** Turn the clock until the log begins there. */
    beginsAt: (offset: number) =>
      eventually(async () => {
        clock.advance(5000);
        return (await under.store.events.bounds()).earliest === offset;
      }),
    async [Symbol.asyncDispose]() {
      await keeper[Symbol.asyncDispose]();
      await under[Symbol.asyncDispose]();
    },
  };
}

test("events go when they are old enough, a piece at a time, while the gateway runs", async () => {
  await using log = await kept({ maxAgeMs: DAY });
  await log.append(5000);
  log.clock.advance(DAY / 2);
  await log.append(10);
  log.clock.advance(DAY / 2);
  await log.beginsAt(5001);
  expect(log.keeper.stats).toMatchObject({ dropped: 5000, clockBehindMs: 0 });
});

test("a clock that jumps a year ahead deletes nothing that is not old, and nothing when it is set right", async () => {
  await using log = await kept({ maxAgeMs: DAY });
  await log.append(3);
  log.clock.jump(YEAR);
  await log.append(3);
  await eventually(() => (log.clock.advance(5000), log.keeper.stats.clockBehindMs > 0));
  log.clock.jump(-YEAR);
  await log.append(3);
  log.clock.advance(DAY / 4);
  await eventually(() => (log.clock.advance(5000), log.keeper.stats.clockBehindMs === 0));
  expect(await log.earliest()).toBe(1);
  // What was stamped a year ahead goes with what lies around it.
  log.clock.advance(DAY);
  await log.beginsAt(10);
});

test("retention's clock is where it was after a restart: a jump while the gateway was off deletes nothing either", async () => {
  await using log = await kept({ maxAgeMs: DAY });
  await log.append(3);
  log.clock.advance(11 * 60_000);
  await eventually(async () => (log.clock.advance(5000), (await log.store.meta.get("retention-clock")) !== undefined));
  log.clock.jump(YEAR);
  await log.restart();
  await eventually(() => log.keeper.stats.clockBehindMs > YEAR / 2);
  log.clock.advance(60_000);
  expect(await log.earliest()).toBe(1);
});

test("who says that the clock is right has retention go by it at once", async () => {
  await using log = await kept({ maxAgeMs: DAY });
  await log.append(3);
  log.clock.jump(YEAR);
  await log.append(2);
  await log.restart({ trustClock: true });
  await log.beginsAt(4);
  expect(log.keeper.stats.clockBehindMs).toBe(0);
});

test("retention goes by the wall clock, never ahead of it and never forward faster than twice the time that passed", () => {
  const step = fc.record({ passes: fc.nat(1000), jumps: fc.integer({ min: -5000, max: 5000 }) });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      let wall = 1_000_000;
      let monotonic = 0;
      const clock = new RetentionClock(wall, monotonic);
      let before = wall;
      for (const { passes, jumps } of steps) {
        wall += passes + jumps;
        monotonic += passes;
        const now = clock.now(wall, monotonic);
        expect(now).toBeLessThanOrEqual(wall);
        expect(now - before).toBeLessThanOrEqual(2 * passes);
        before = now;
      }
      expect(clock.now(wall, monotonic + 1_000_000)).toBe(wall);
    }),
  );
});

test("a durable subscription holds the log until its quota is used up, and both are told, loudly", async () => {
  await using log = await kept({ maxEvents: 10 });
  await log.append(5);
  await log.store.subscriptions.open({
    owner: "operator",
    name: "export",
    create: {
      after: 2,
      filter: {},
      quota: { maxAgeMs: YEAR, maxEvents: 100, maxBytes: 1_000_000 },
      createdBy: "tests",
      maxPerOwner: 10,
      maxTotal: 10,
    },
    now: log.clock.now(),
  });
  await log.append(20);
  await log.beginsAt(3);
  await eventually(() => log.lines.some((line) => line.includes("beyond its bounds")));
  expect(log.keeper.stats).toMatchObject({ heldBy: [{ name: "export" }], lapsed: 0 });
  await log.append(200);
  await log.beginsAt(216);
  await eventually(() => log.lines.some((line) => line.includes("it lapsed")));
  expect(log.keeper.stats).toMatchObject({ lapsed: 1, heldBy: [] });
});

test("a device's subscription that lapses is recorded in the log, as an event of that device", async () => {
  await using log = await kept({ maxEvents: 10 });
  const quota = { maxAgeMs: YEAR, maxEvents: 15, maxBytes: 1_000_000 };
  const create = { after: 2, filter: {}, quota, createdBy: A, maxPerOwner: 10, maxTotal: 10 };
  await log.append(5);
  await log.store.subscriptions.open({ owner: `device:${A}`, name: "export", create, now: log.clock.now() });
  await log.append(40);
  const lapses = async () => {
    log.clock.advance(5000);
    const filter = { kinds: ["mesh.*"] };
    return eventRows(await log.store.events.read({ after: 0, limit: 99, maxBytes: 1e6, filter }));
  };
  await eventually(async () => (await lapses()).length > 0);
  const [lapse] = await lapses();
  expect(lapse).toMatchObject({ deviceId: A, kind: "mesh.subscription.lapsed" });
  expect(decodeValue(lapse?.data ?? new Uint8Array())).toEqual({ subscription: "export", acked: 2, by: "events" });
});

test("a store that refuses is asked again, and nobody else hears of it", async () => {
  let refusals = 3;
  await using log = await kept({ maxEvents: 1 }, (store) => ({
    ...store,
    events: {
      ...store.events,
      retain: (input) =>
        refusals-- > 0 ? Promise.reject(new GatewayError("STORE_FULL", "full")) : store.events.retain(input),
    },
  }));
  await log.append(5);
  await log.beginsAt(5);
});

test("what has ended goes with its time: tasks whole, quarantine, pairing; what has not ended stays", async () => {
  await using log = await kept({ maxAgeMs: YEAR, maxHistoryMs: DAY });
  const { store, clock } = log;
  await log.append(1);
  const forged = [{ kind: "forged", time: 1, data: encodeValue(2) }];
  await store.events.append({ deviceId: A, outboxEpoch: epochOf(1), first: 1, events: forged, now: clock.now() });
  expect(await store.events.quarantined({ limit: 10 })).toMatchObject([
    { deviceId: A, seq: 1, kind: "forged", offset: 1 },
  ]);
  for (const state of ["open", "closed"]) {
    const times = { openedAt: clock.now(), expiresAt: clock.now() + 1000 };
    await store.pairing.putWindow({
      windowId: state,
      codeId: undefined,
      state,
      failures: 0,
      body: "{}",
      usesLeft: 1,
      sealedCode: undefined,
      ...times,
    });
  }
  clock.advance(2 * DAY);
  await eventually(async () => (clock.advance(5000), (await store.events.quarantined({ limit: 10 })).length === 0));
  await eventually(async () => (clock.advance(5000), (await store.pairing.window("closed")) === undefined));
  expect(await store.pairing.window("open")).toBeDefined();
  expect(await log.earliest()).toBe(1);
});

test("a clock that jumps a year ahead makes no durable subscription lapse", async () => {
  await using log = await kept({ maxEvents: 10 });
  await log.append(5);
  await log.store.subscriptions.open({
    owner: "operator",
    name: "export",
    create: {
      after: 2,
      filter: {},
      quota: { maxAgeMs: 7 * DAY, maxEvents: 1000, maxBytes: 1_000_000 },
      createdBy: "tests",
      maxPerOwner: 10,
      maxTotal: 10,
    },
    now: log.clock.now(),
  });
  await log.append(20);
  log.clock.jump(YEAR);
  await log.beginsAt(3);
  await eventually(() => (log.clock.advance(5000), log.keeper.stats.clockBehindMs > 0));
  await eventually(() => (log.clock.advance(5000), log.keeper.stats.heldBy.length === 1));
  expect(log.keeper.stats).toMatchObject({ lapsed: 0 });
  // Time that really passes counts.
  log.clock.jump(-YEAR);
  await eventually(() => (log.clock.advance(DAY), log.keeper.stats.lapsed === 1));
});
