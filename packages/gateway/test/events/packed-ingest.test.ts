import { zstdCompressSync } from "node:zlib";
import { encodeCbor, type PublishedEvent } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { eventRows } from "../../src/store/event-rows.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ticks, type FakePublisher } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";

const ALL = { after: 0, limit: 10_000, maxBytes: 1 << 30, filter: {} };

async function sendPacked(publisher: FakePublisher, first: number, events: PublishedEvent[]): Promise<void> {
  const body = encodeCbor({ type: "batch", first, events });
  await publisher.sendPacked(zstdCompressSync(body), body.length);
}

test("packed and plain batches land in one log, in order, whatever way they come", async () => {
  await using gateway = await testGateway();
  const publisher = await (await gateway.connect(await gateway.enroll("a"))).publish();
  await publisher.send(1, ticks(1, 100));
  await sendPacked(publisher, 101, ticks(101, 100));
  await publisher.send(201, ticks(201, 100));
  // Again, as after an acknowledgement that was lost.
  await sendPacked(publisher, 151, ticks(151, 100));
  await sendPacked(publisher, 301, ticks(301, 100));
  expect(await publisher.acked(400)).not.toContainEqual(expect.objectContaining({ type: "conflict" }));
  const events = eventRows(await gateway.store.events.read(ALL));
  expect(events.map(({ seq, data }) => ({ seq, data: Buffer.from(data) }))).toEqual(
    ticks(1, 400).map(({ data }, index) => ({ seq: index + 1, data: Buffer.from(data) })),
  );
});

test("a bomb ends its stream with MESSAGE_INVALID, and the session goes on", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  const bomb = zstdCompressSync(Buffer.alloc(64 << 20));
  expect(bomb.length).toBeLessThan(8192);
  await publisher.sendPacked(bomb, 524_288);
  await expect(publisher.reply()).rejects.toMatchObject({ code: "MESSAGE_INVALID" });
  const again = await node.publish();
  await again.publish(1, ticks(1, 5));
});

test("what a packed batch holds is judged as a plain one: a kind of the gateway's own, a value that is none", async () => {
  await using gateway = await testGateway();
  const node = await gateway.connect(await gateway.enroll("a"));
  for (const event of [
    { kind: "mesh.revoked", time: 1, data: Uint8Array.of(0xf6) },
    { kind: "test.x", time: 1, data: Uint8Array.of(0xff) },
  ]) {
    const publisher = await node.publish();
    await sendPacked(publisher, 1, [event]);
    await expect(publisher.reply()).rejects.toMatchObject({ code: "MESSAGE_INVALID" });
  }
  expect(eventRows(await gateway.store.events.read(ALL))).toEqual([]);
});

test("what is unpacked counts against the device's rate, also where none of it is stored", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock, ingest: { maxBytesPerSecond: 50_000 } });
  const node = await gateway.connect(await gateway.enroll("a"));
  const publisher = await node.publish();
  const body = encodeCbor({ type: "batch", first: 2, events: [{ kind: "x", time: 1, data: zeros(60_000) }] });
  const packed = zstdCompressSync(body);
  expect(packed.length).toBeLessThan(100);
  const replies: string[] = [];
  for (let times = 0; times < 6; times++) {
    await publisher.sendPacked(packed, body.length);
    replies.push((await publisher.reply()).type);
  }
  // Room for 200 000 bytes, and the one that goes beyond; each is behind a gap.
  expect(replies).toEqual(["expected", "expected", "expected", "expected", "throttle", "throttle"]);
  clock.advance(2000);
  await publisher.sendPacked(packed, body.length);
  expect(await publisher.reply()).toEqual({ type: "expected", seq: 1 });
});

/** One value: a byte string of zeros. */
function zeros(length: number): Uint8Array {
  const value = new Uint8Array(length + 3);
  value.set([0x59, length >> 8, length & 0xff]);
  return value;
}
