import type { SubscriptionMessage } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { ticks, type FakeNode, type FakeSubscription } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";

const DURABLE = { durable: { name: "export" } };

async function subscribed(subscription: FakeSubscription) {
  const first = await subscription.next();
  if (first.type !== "subscribed") throw new Error(`expected subscribed, got ${first.type}`);
  return first;
}

async function next<T extends SubscriptionMessage["type"]>(subscription: FakeSubscription, type: T) {
  for (;;) {
    const message = await subscription.next();
    if (message.type === type) return message as Extract<SubscriptionMessage, { type: T }>;
  }
}

async function publishing(node: FakeNode, count: number): Promise<void> {
  const publisher = await node.publish();
  for (let first = 1; first <= count; first += 10) await publisher.publish(first, ticks(first, 10));
}

const offsets = (events: readonly { readonly offset: number }[]) => events.map(({ offset }) => offset);

test("what was acknowledged is behind a durable subscription, over a crash of either side; the rest is given again", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  await publishing(node, 10);
  const first = await node.subscribe(DURABLE);
  expect(await subscribed(first)).toMatchObject({
    from: 0,
    features: ["durable"],
    durable: { epoch: 1, acked: 0, created: true },
  });
  expect(offsets(await first.events(10))).toHaveLength(10);
  await first.send({ type: "ack", offset: 4 });
  expect(await next(first, "acked")).toEqual({ type: "acked", offset: 4 });
  // An older one changes nothing.
  await first.send({ type: "ack", offset: 2 });
  await node.close();
  await gateway.crash();
  const again = await gateway.connect(device);
  const second = await again.subscribe(DURABLE);
  expect(await subscribed(second)).toMatchObject({ from: 4, durable: { epoch: 2, acked: 4, created: false } });
  expect(offsets(await second.events(6))).toEqual([5, 6, 7, 8, 9, 10]);
  // Only cut off: what it has seen is not sent again, and may be acknowledged.
  const third = await again.subscribe({ durable: { name: "export", seen: 8 } });
  expect(await subscribed(third)).toMatchObject({ from: 8, durable: { acked: 4 } });
  expect(offsets(await third.events(2))).toEqual([9, 10]);
  await third.send({ type: "ack", offset: 10 });
  expect(await next(third, "acked")).toMatchObject({ offset: 10 });
});

test("whoever subscribes takes it: the one before is told, and cannot move the cursor", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  await publishing(node, 10);
  const loser = await node.subscribe(DURABLE);
  await loser.events(10);
  const winner = await node.subscribe(DURABLE);
  expect(await subscribed(winner)).toMatchObject({ from: 0, durable: { epoch: 2 } });
  const told = (async () => {
    for (;;) await loser.next();
  })();
  await expect(told).rejects.toMatchObject({ code: "SUBSCRIPTION_TAKEN", details: { epoch: 2 } });
  await loser.stream.send({ type: "ack", offset: 10 });
  await loser.stream.end({ type: "end" });
  await winner.events(10);
  await winner.send({ type: "ack", offset: 3 });
  expect(await next(winner, "acked")).toMatchObject({ offset: 3 });
  expect(await gateway.store.subscriptions.list({})).toMatchObject([{ acked: 3, epoch: 2 }]);
});

test("a cursor of another log is refused, and nobody loses the subscription over it", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  await subscribed(await node.subscribe(DURABLE));
  const stray = await node.subscribe({ ...DURABLE, log: "another" });
  await expect(stray.next()).rejects.toMatchObject({ code: "LOG_CHANGED" });
  expect(await gateway.store.subscriptions.list({})).toMatchObject([{ epoch: 1 }]);
});

test("a store that another gateway has moved on fences this one's consumer at its next acknowledgement", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  await publishing(node, 10);
  const subscription = await node.subscribe(DURABLE);
  await subscription.events(10);
  await gateway.store.subscriptions.open({ owner: `device:${device}`, name: "export", now: 1 });
  await subscription.send({ type: "ack", offset: 5 });
  await expect(next(subscription, "acked")).rejects.toMatchObject({ code: "SUBSCRIPTION_TAKEN" });
  expect(await gateway.store.subscriptions.list({})).toMatchObject([{ acked: 0 }]);
});

test("what was not sent cannot be acknowledged, nor anything where nothing is durable", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  await publishing(node, 10);
  const few = await node.subscribe({ ...DURABLE, creditEvents: 3 });
  expect(offsets(await few.events(3))).toEqual([1, 2, 3]);
  await few.send({ type: "ack", offset: 4 });
  await expect(next(few, "acked")).rejects.toMatchObject({ code: "STATE_INVALID" });
  const plain = await node.subscribe();
  await plain.events(10);
  await plain.send({ type: "ack", offset: 4 });
  await expect(next(plain, "acked")).rejects.toMatchObject({ code: "STATE_INVALID" });
  expect(await gateway.store.subscriptions.list({})).toMatchObject([{ acked: 0 }]);
});

test("events that retention removed are told of, and gone on without only by who says so", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  await publishing(node, 20);
  await subscribed(await node.subscribe(DURABLE));
  // Its quota is used up: a year has passed.
  const floor = await gateway.store.subscriptions.floor({ wanted: 12, now: Date.now() + 31_536_000_000 });
  expect(floor).toMatchObject({ upTo: 12, lapsed: [{ name: "export", lapsed: { by: "age" } }] });
  await gateway.store.events.compact({ upTo: 12 });
  const refused = await node.subscribe(DURABLE);
  await expect(refused.next()).rejects.toMatchObject({
    code: "RESUME_COMPACTED",
    details: { earliest: 13, acked: 0, lost: 12 },
  });
  const skipping = await node.subscribe({ durable: { name: "export", skipLost: true } });
  expect(await subscribed(skipping)).toMatchObject({ from: 12, durable: { acked: 12, lost: 12 } });
  expect(offsets(await skipping.events(8))[0]).toBe(13);
});

test("a durable subscription keeps the filter it was made with, until it is forgotten", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  await publishing(node, 10);
  const publisher = await node.publish();
  await publisher.publish(11, ticks(11, 3, "wanted.x"));
  const first = await node.subscribe({ ...DURABLE, filter: { kinds: ["wanted.*"] } });
  expect(offsets(await first.events(3))).toEqual([11, 12, 13]);
  expect(offsets(await (await node.subscribe(DURABLE)).events(3))).toEqual([11, 12, 13]);
  const other = await node.subscribe({ ...DURABLE, filter: { kinds: ["other"] } });
  await expect(other.next()).rejects.toMatchObject({ code: "SUBSCRIPTION_EXISTS" });
  const last = await node.subscribe(DURABLE);
  await subscribed(last);
  await last.send({ type: "forget" });
  await next(last, "end");
  expect(await gateway.store.subscriptions.list({})).toEqual([]);
  const odd = await node.subscribe({ durable: { name: "no/slash" } });
  await expect(odd.next()).rejects.toMatchObject({ code: "SUBSCRIPTION_INVALID" });
});

test("a subscription from a time, by label, says that it is", async () => {
  await using gateway = await testGateway();
  const reader = await gateway.connect(await gateway.enroll("r", ["events-reader"]));
  const [gpu, disk] = [await gateway.enroll("g", ["gpu"]), await gateway.enroll("d", ["disk"])];
  for (const device of [gpu, disk]) {
    for (const [index, now] of [1000, 2000].entries()) {
      const outboxEpoch = new Uint8Array(16).fill(1);
      if (index === 0) await gateway.connect(device);
      const events = ticks(1 + index * 5, 5);
      await gateway.store.events.append({ deviceId: device, outboxEpoch, first: 1 + index * 5, events, now });
    }
  }
  const late = await reader.subscribe({ since: 2000, filter: { labels: ["gpu"] } });
  expect(await subscribed(late)).toMatchObject({ from: 5, features: ["labels", "since"] });
  expect(offsets(await late.events(5))).toEqual([6, 7, 8, 9, 10]);
  const nobody = await reader.subscribe({ filter: { labels: ["none"] } });
  expect(await next(nobody, "caught-up")).toMatchObject({ offset: 20 });
});
