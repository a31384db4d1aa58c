import { expect, test } from "vitest";
import { eventRows } from "../../src/store/event-rows.ts";
import type { EventRow } from "../../src/store/rows.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ticks } from "../support/fake-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";

/** Take `count` events of an operator's subscription. */
async function take(
  gateway: TestGateway,
  count: number,
  options: Parameters<TestGateway["core"]["events"]["subscribe"]>[0] = {},
): Promise<readonly EventRow[]> {
  const events: EventRow[] = [];
  if (count === 0) return events;
  for await (const event of gateway.core.events.subscribe(options)) {
    events.push(event);
    if (events.length === count) break;
  }
  return events;
}

const offsets = (events: readonly { readonly offset: number }[]) => events.map(({ offset }) => offset);
const upTo = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

test("replay and live are one path: a subscriber sees each event once, in order, from any cursor", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  await publisher.publish(1, ticks(1, 256));
  const reading = Promise.all([0, 100, 256].map((after) => take(gateway, 600 - after, { after })));
  for (let first = 257; first <= 600; first += 43) await publisher.publish(first, ticks(first, 43));
  const seen = await reading;
  expect(seen.map(offsets)).toEqual([upTo(1, 600), upTo(101, 600), upTo(257, 600)]);
});

test("a cursor of another log, beyond the log, or before what is kept is refused with the facts", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  await publisher.publish(1, ticks(1, 10));
  await expect(take(gateway, 1, { after: 3, logId: "other" })).rejects.toMatchObject({ code: "LOG_CHANGED" });
  await expect(take(gateway, 1, { after: 11 })).rejects.toMatchObject({
    code: "RESUME_FUTURE",
    metadata: { latest: "10" },
  });
  await gateway.store.events.compact({ upTo: 5 });
  await expect(take(gateway, 1, { after: 3 })).rejects.toMatchObject({
    code: "RESUME_COMPACTED",
    metadata: { earliest: "6" },
  });
  expect(offsets(await take(gateway, 2, { after: 5, logId: gateway.core.events.logId }))).toEqual([6, 7]);
  // From the beginning means from what there is.
  expect(offsets(await take(gateway, 2))).toEqual([6, 7]);
});

test("a subscription from the tail starts with what comes next, and says where it stands", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  await publisher.publish(1, ticks(1, 10));
  const batches = gateway.core.events.batches({ tail: true, filter: { kinds: ["wanted.*"] } })[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = await batches.next();
    return value && { offsets: offsets(eventRows(value)), caughtUp: value.caughtUp };
  };
  expect(await next()).toEqual({ offsets: [], caughtUp: 10 });
  const later = next();
  await publisher.publish(11, ticks(11, 5));
  // Nothing matched, but the cursor moves: a reader that resumes need not scan again.
  expect(await later).toEqual({ offsets: [], caughtUp: 15 });
  await publisher.publish(16, ticks(16, 1, "wanted.one"));
  expect(await next()).toEqual({ offsets: [16], caughtUp: 16 });
  await batches.return?.();
});

test("a subscription ends with its signal, and with the gateway", async () => {
  await using gateway = await testGateway();
  const abort = new AbortController();
  const aborted = take(gateway, 1, { signal: abort.signal });
  const closed = take(gateway, 1);
  abort.abort(new Error("enough"));
  await expect(aborted).rejects.toThrow("enough");
  await Promise.all([expect(closed).rejects.toMatchObject({ code: "GATEWAY_DRAINING" }), gateway.core.close()]);
});

test("a filter narrows what a node may see: its own events, and all of them with the label for it", async () => {
  await using gateway = await testGateway();
  const [a, b] = [await gateway.enroll("a"), await gateway.enroll("b", ["events-reader"])];
  const [first, reader] = [await gateway.connect(a), await gateway.connect(b)];
  await (await first.publish()).publish(1, ticks(1, 3));
  await (await reader.publish()).publish(1, ticks(1, 3));
  const others = await first.subscribe({ filter: { devices: [b] } });
  await others.next();
  expect(await others.next()).toEqual({ type: "caught-up", offset: 6 });
  const own = await first.subscribe({ filter: { devices: [a, b] } });
  expect(await own.next()).toMatchObject({ type: "subscribed", earliest: 1, latest: 6 });
  expect((await own.events(3)).map(({ device }) => device)).toEqual([a, a, a]);
  expect(await own.next()).toEqual({ type: "caught-up", offset: 6 });
  const all = await reader.subscribe({ after: 1 });
  expect(offsets(await all.events(5))).toEqual([2, 3, 4, 5, 6]);
  const narrowed = await reader.subscribe({ filter: { devices: [a] } });
  expect(offsets(await narrowed.events(3))).toEqual([1, 2, 3]);
});

test("a node is sent what it has credit for, and no more", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const node = await gateway.connect(await gateway.enroll("a"));
  await (await node.publish()).publish(1, ticks(1, 10));
  const subscription = await node.subscribe({ creditEvents: 4 });
  await subscription.next();
  expect(await subscription.events(4)).toHaveLength(4);
  await subscription.send({ type: "credit", events: 2, bytes: 0 });
  expect(offsets(await subscription.events(2))).toEqual([5, 6]);
  // Out of credit while events wait, for too long: closed, and told where to go on.
  const end = subscription.next();
  clock.advance(30_000);
  await expect(end).rejects.toMatchObject({ code: "SLOW_CONSUMER", details: { cursor: 6 } });
  const resumed = await node.subscribe({ after: 6, log: gateway.core.events.logId });
  await resumed.next();
  expect(offsets(await resumed.events(4))).toEqual([7, 8, 9, 10]);
});

test("a node whose subscription ends is answered, and its session goes on", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const subscription = await node.subscribe();
  await subscription.next();
  await subscription.stream.end({ type: "end" });
  let last = await subscription.next();
  while (last.type !== "end") last = await subscription.next();
  expect(await node.heartbeat(1)).toMatchObject({ seq: 1 });
});
