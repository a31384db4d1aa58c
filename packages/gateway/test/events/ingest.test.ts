import { encodeValue, parsePublishReply } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { eventRows } from "../../src/store/event-rows.ts";
import type { Store } from "../../src/store/port.ts";
import { eventually } from "../support/eventually.ts";
import { epoch, ticks } from "../support/fake-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";

const ALL = { after: 0, limit: 10_000, maxBytes: 1 << 30, filter: {} };

async function seqs(gateway: TestGateway): Promise<readonly number[]> {
  const events = eventRows(await gateway.store.events.read(ALL));
  return events.map(({ seq }) => seq);
}

test("events are acknowledged once they are committed, and a new session goes on after them", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  const publisher = await node.publish();
  expect(publisher.ackedSeq).toBe(0);
  await publisher.publish(1, ticks(1, 100));
  expect(await seqs(gateway)).toEqual(ticks(1, 100).map(({ time }) => time));
  await publisher.stream.end({ type: "end" });
  expect(await publisher.reply()).toEqual({ type: "end" });
  const again = await gateway.connect(device);
  expect(again.welcome.ackedSeq).toBe(100);
  expect((await again.publish()).ackedSeq).toBe(100);
});

test("a replayed event is acknowledged but not appended twice", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  await publisher.publish(1, ticks(1, 10));
  await publisher.publish(1, ticks(1, 15));
  expect(await seqs(gateway)).toEqual(ticks(1, 15).map(({ time }) => time));
});

test("a gap is answered EXPECTED and nothing of it is stored", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  await publisher.publish(1, ticks(1, 2));
  await publisher.send(5, ticks(5, 2));
  expect(await publisher.reply()).toEqual({ type: "expected", seq: 3 });
  await publisher.publish(3, ticks(3, 4));
  expect(await seqs(gateway)).toEqual([1, 2, 3, 4, 5, 6]);
});

test("another body under a known sequence is reported, quarantined, and holds nothing up", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  await publisher.publish(1, ticks(1, 3));
  await publisher.send(2, [{ kind: "forged", time: 2, data: encodeValue("x") }, ...ticks(3, 2)]);
  const replies = await publisher.acked(4);
  expect(replies).toContainEqual({ type: "conflict", seq: 2 });
  const events = eventRows(await gateway.store.events.read(ALL));
  expect(events.map(({ kind }) => kind)).toEqual(Array.from({ length: 4 }, () => "test.tick"));
  expect(gateway.lines.some(({ message }) => message.includes("quarantined"))).toBe(true);
});

test("batches under way together all land, in order", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  for (let first = 1; first <= 1901; first += 100) await publisher.send(first, ticks(first, 100));
  await publisher.acked(2000);
  expect(await seqs(gateway)).toEqual(ticks(1, 2000).map(({ time }) => time));
});

test("an outbox epoch that is not the session's is refused", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const stream = await node.open({ v: 1, method: "events.publish", outboxEpoch: epoch(9) });
  await expect(stream.expect(parsePublishReply)).rejects.toMatchObject({ code: "OUTBOX_UNKNOWN" });
});

test("a node cannot speak in the gateway's name", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  await publisher.send(1, ticks(1, 1, "mesh.device.revoked"));
  await expect(publisher.reply()).rejects.toMatchObject({ code: "MESSAGE_INVALID" });
  expect(await seqs(gateway)).toEqual([]);
});

test("a task report that cannot be read is kept as an event", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  await publisher.publish(1, ticks(1, 1, "task.result"));
  expect(await seqs(gateway)).toEqual([1]);
});

test("nothing is acknowledged before its commit", async () => {
  const gate = Promise.withResolvers<void>();
  let commits = 0;
  const wrapStore = (store: Store): Store => ({
    ...store,
    events: {
      ...store.events,
      async append(input) {
        await gate.promise;
        commits += 1;
        return await store.events.append(input);
      },
    },
  });
  await using gateway = await testGateway({ wrapStore });
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  await publisher.send(1, ticks(1, 3));
  const reply = publisher.reply();
  // A whole round trip on another stream of the same connection: an acknowledgement that did not wait would be here by now.
  await node.heartbeat(1);
  await node.heartbeat(2);
  let answered = false;
  void reply.then(() => {
    answered = true;
  });
  await node.heartbeat(3);
  expect([answered, commits]).toEqual([false, 0]);
  gate.resolve();
  expect(await reply).toEqual({ type: "ack", seq: 3 });
});

test("a full disk stops acknowledgements and new work, loses nothing, and ends when there is room", async () => {
  await using gateway = await testGateway({ maxBytes: 1_000_000 });
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  const big = (first: number) =>
    Array.from({ length: 10 }, (_, index) => ({
      kind: "big",
      time: first + index,
      data: encodeValue(new Uint8Array(20_000)),
    }));
  let acked = 0;
  for (;;) {
    await publisher.send(acked + 1, big(acked + 1));
    const reply = await publisher.reply();
    if (reply.type === "throttle") break;
    if (reply.type === "ack") acked = reply.seq;
  }
  expect(acked).toBeGreaterThan(0);
  // What needs no room finds some.
  await gateway.store.meta.put("small", "x");
  expect(gateway.store.stats().state).toBe("full");
  // More than a batch takes: what was too little for that is too little for this.
  const input = new Uint8Array(400_000);
  const submit = gateway.core.tasks.submit({ definition: "work", target: { kind: "any" }, input });
  await expect(submit).rejects.toMatchObject({ code: "STORE_FULL" });
  expect(await seqs(gateway)).toHaveLength(acked);
  await gateway.store.events.compact({ upTo: acked });
  await publisher.publish(acked + 1, big(acked + 1));
  expect(gateway.store.stats().state).toBe("ok");
  await eventually(() => gateway.core.sessions.isOnline(node.deviceId));
});

test("an event whose data is no value fails its stream, and nothing of it is stored", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  for (const data of [new Uint8Array([0xff]), new Uint8Array([1, 1]), new Uint8Array([0x61, 0xff])]) {
    const publisher = await node.publish();
    await publisher.send(1, [{ kind: "test.tick", time: 1, data }]);
    await expect(publisher.reply()).rejects.toMatchObject({ name: "RemoteError", code: "MESSAGE_INVALID" });
  }
  const task = await node.publish();
  await task.send(1, [{ kind: "task.log", time: 1, data: new Uint8Array([0xff]) }]);
  await expect(task.reply()).rejects.toMatchObject({ code: "MESSAGE_INVALID" });
  expect(await seqs(gateway)).toEqual([]);
});
