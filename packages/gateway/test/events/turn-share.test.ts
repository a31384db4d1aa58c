import { zstdCompressSync } from "node:zlib";
import { encodeCbor, encodeValue } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { TurnShare, workWeight } from "../../src/events/turn-share.ts";
import { nextTurn } from "../../src/sessions/next-turn.ts";
import { testGateway } from "../support/gateway.ts";

const KIB = 1024;

/** Turns that the test makes. */
function byHand() {
  let resolve: () => void = () => undefined;
  const turn = () => new Promise<void>((next) => (resolve = next));
  const next = async (): Promise<void> => {
    resolve();
    for (let step = 0; step < 8; step++) await Promise.resolve();
  };
  return { turn, next };
}

/** Counts turns of the event loop until it is stopped. */
function countTurns() {
  const counter = { turn: 0, counting: true };
  void (async () => {
    while (counter.counting) {
      await nextTurn();
      counter.turn += 1;
    }
  })();
  return counter;
}

test("in one turn a device gets its share, and what it wants beyond waits for the next ones, in order; another has its own", async () => {
  const { turn, next } = byHand();
  const share = new TurnShare(turn);
  const begun: string[] = [];
  const want = (device: string, name: string, weight: number): void => {
    const wait = share.take(device, weight);
    if (wait === undefined) begun.push(name);
    else void wait.then(() => begun.push(name));
  };
  for (const name of ["1", "2", "3", "4", "5"]) want("loud", name, 300 * KIB);
  want("quiet", "q", workWeight(1, 100));
  expect(begun).toEqual(["1", "2", "q"]);
  await next();
  expect(begun).toEqual(["1", "2", "q", "3", "4"]);
  // Nothing that comes later is begun before what waits.
  want("loud", "6", 1);
  await next();
  expect(begun).toEqual(["1", "2", "q", "3", "4", "5", "6"]);
});

test("what is more than a share is begun, and paid for in the turns after", async () => {
  const { turn, next } = byHand();
  const share = new TurnShare(turn);
  expect(share.take("a", 1200 * KIB)).toBeUndefined();
  let begun = false;
  void share.take("a", 1)?.then(() => (begun = true));
  await next();
  expect(begun).toBe(false);
  await next();
  expect(begun).toBe(true);
});

test("packed batches that come in one moment are worked off in as many turns as they are worth, and others are served between", async () => {
  await using gateway = await testGateway();
  const publisher = await (await gateway.connect(await gateway.enroll("a"))).publish();
  // Behind a gap, so that nothing waits for the store.
  const event = { kind: "x", time: 1, data: encodeValue(new Uint8Array(60_000)) };
  const body = encodeCbor({ type: "batch", first: 2, events: Array.from({ length: 8 }, () => event) });
  const packed = zstdCompressSync(body);
  const counter = countTurns();
  for (let batch = 0; batch < 40; batch++) await publisher.sendPacked(packed, body.length);
  for (let batch = 0; batch < 40; batch++) expect(await publisher.reply()).toEqual({ type: "expected", seq: 1 });
  counter.counting = false;
  expect(counter.turn).toBeGreaterThan(30);
});

test("many subscriptions of one device to the same events are sent them in turns", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const events = Array.from({ length: 200 }, (_, index) => ({
    kind: "x",
    time: index,
    data: encodeValue(new Uint8Array(1000)),
  }));
  await (await node.publish()).publish(1, events);
  const counter = countTurns();
  const cameIn = new Map<number, number>();
  const reading = Array.from({ length: 30 }, async () => {
    const subscription = await node.subscribe();
    await subscription.events(1);
    cameIn.set(counter.turn, (cameIn.get(counter.turn) ?? 0) + 1);
  });
  await Promise.all(reading);
  counter.counting = false;
  expect(Math.max(...cameIn.values())).toBeLessThan(8);
});
