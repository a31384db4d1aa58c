import { encodeValue } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { eventRows } from "../../src/store/event-rows.ts";
import { IngestGate } from "../../src/events/ingest-gate.ts";
import { silentLogger } from "../../src/logger.ts";
import { TokenBucket } from "../../src/events/token-bucket.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ticks } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";

const ALL = { after: 0, limit: 10_000, maxBytes: 1 << 30, filter: {} };

test("a bucket lets its burst through, then its rate, and says how long the rest has to wait", () => {
  const bucket = new TokenBucket({ perSecond: 100, capacity: 200 }, 0);
  bucket.take(300, 0);
  expect(bucket.waitMs(0)).toBe(1010);
  expect(bucket.waitMs(1009)).toBeGreaterThan(0);
  expect(bucket.waitMs(1010)).toBe(0);
  // A clock that goes back gives nothing and takes nothing.
  bucket.take(1, 1010);
  expect(bucket.waitMs(500)).toBe(bucket.waitMs(1010));
  expect(bucket.isFull(1_000_000)).toBe(true);
});

test("a device that publishes faster than it may is told how long to wait, and then taken; others notice nothing", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock, ingest: { maxEventsPerSecond: 10 } });
  const loud = await gateway.connect(await gateway.enroll("loud"));
  const quiet = await gateway.connect(await gateway.enroll("quiet"));
  const flood = await loud.publish();
  await flood.publish(1, ticks(1, 100));
  await flood.send(101, ticks(101, 5));
  const refusal = await flood.reply();
  expect(refusal).toEqual({ type: "throttle", retryAfterMs: 8100, reason: "rate" });
  await (await quiet.publish()).publish(1, ticks(1, 5));
  // Over its limit it is over it on every stream and in every session.
  const again = await loud.publish();
  await again.send(101, ticks(101, 5));
  expect(await again.reply()).toMatchObject({ type: "throttle", reason: "rate" });
  expect((await gateway.core.stats()).ingest).toMatchObject({ throttledRate: 2, throttledQuota: 0, waiting: 0 });
  expect(gateway.lines.filter(({ message }) => message.includes("faster than it may"))).toHaveLength(1);
  clock.advance(8100);
  await flood.publish(101, ticks(101, 5));
  const events = eventRows(await gateway.store.events.read({ ...ALL, filter: { devices: [loud.deviceId] } }));
  expect(events).toHaveLength(105);
});

test("bytes count as events do", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock, ingest: { maxBytesPerSecond: 1000 } });
  const publisher = await (await gateway.connect(await gateway.enroll("a"))).publish();
  const big = { kind: "big", time: 1, data: encodeValue(new Uint8Array(4000)) };
  await publisher.publish(1, [big]);
  await publisher.send(2, [big]);
  expect(await publisher.reply()).toMatchObject({ type: "throttle", reason: "rate" });
});

test("a device that holds its quota of the log waits until some of it has gone; what it sends again is no more", async () => {
  await using gateway = await testGateway({ ingest: { maxDeviceBytes: 1000 } });
  const device = await gateway.enroll("a");
  const publisher = await (await gateway.connect(device)).publish();
  // The batch that crosses the line is taken whole.
  await publisher.publish(1, ticks(1, 20));
  await publisher.send(21, ticks(21, 1));
  expect(await publisher.reply()).toEqual({ type: "throttle", retryAfterMs: 30_000, reason: "quota" });
  await publisher.publish(1, ticks(1, 20));
  const other = await (await gateway.connect(await gateway.enroll("b"))).publish();
  await other.publish(1, ticks(1, 1));
  expect((await gateway.core.stats()).ingest.throttledQuota).toBe(1);
  await gateway.store.events.compact({ upTo: 15 });
  await publisher.publish(21, ticks(21, 1));
});

test("what waits of one device is bounded, on however many streams it comes, and leaves room for others", async () => {
  await using gateway = await testGateway();
  const release = Promise.withResolvers<void>();
  const { events } = gateway.store;
  const append: typeof events.append = async (input) => {
    await release.promise;
    return { kind: "expected", seq: input.first };
  };
  const store = { ...gateway.store, events: { ...events, append } };
  const gate = new IngestGate({ store, recent: { isWanted: false }, clock: new FakeClock(), logger: silentLogger });
  const batch = (deviceId: string) => {
    const data = new Uint8Array(60_000);
    const events = Array.from({ length: 6 }, () => ({ kind: "big", time: 1, data }));
    return gate.append({ deviceId, outboxEpoch: new Uint8Array(16), first: 1, events, now: 0 });
  };
  const flood = Array.from({ length: 400 }, () => batch("loud"));
  expect(gate.stats.waiting).toBe(64);
  const quiet = batch("quiet");
  expect(gate.stats.waiting).toBe(65);
  release.resolve();
  const answers = await Promise.all(flood);
  expect(await quiet).toEqual({ kind: "expected", seq: 1 });
  expect(answers.filter(({ kind }) => kind === "throttled").length).toBeGreaterThan(300);
  expect(answers.filter(({ kind }) => kind === "expected").length).toBeGreaterThanOrEqual(64);
});
