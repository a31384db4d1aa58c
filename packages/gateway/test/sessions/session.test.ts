import {
  encodeFrame,
  MessageStream,
  parseGatewayControl,
  parseHealthReply,
  RemoteError,
  TransportError,
} from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { eventRows } from "../../src/store/event-rows.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { epoch, FakeNode } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";

test("a device is online from its welcome until its session ends", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  expect(await gateway.core.devices.get("a")).toMatchObject({ state: "new", sessionEpoch: 0 });
  const waiting = gateway.core.sessions.whenOnline(device);
  const node = await gateway.connect(device, { capabilities: [{ name: "work", concurrency: 3 }] });
  expect(node.welcome).toMatchObject({ sessionEpoch: 1, mesh: "meshmeshmeshmesh", ackedSeq: 0 });
  expect(await waiting).toMatchObject({ deviceId: device, sessionEpoch: 1 });
  const view = await gateway.core.devices.get(device);
  expect(view).toMatchObject({ state: "online", capabilities: ["work"], taskSlots: 3, software: "fake/1" });
  await node.control.end({ type: "bye", reason: "done" });
  await node.closed;
  await eventually(() => !gateway.core.sessions.isOnline(device));
  expect(await gateway.core.devices.get(device)).toMatchObject({ state: "offline", sessionEpoch: 1 });
});

test("session epochs grow over a restart of the gateway", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  await gateway.connect(device);
  await gateway.restart();
  const node = await gateway.connect(device);
  expect(node.welcome.sessionEpoch).toBe(2);
});

test("a second live session of a device supersedes the first, and it shows", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const first = await gateway.connect(device);
  const second = await gateway.connect(device);
  expect(await first.closed).toMatchObject({ kind: "application", code: 0x51 });
  expect(second.welcome.sessionEpoch).toBe(2);
  expect(gateway.core.sessions.isOnline(device)).toBe(true);
  const events = await eventually(async () => {
    const page = await gateway.store.events.read({ after: 0, limit: 9, maxBytes: 1e6, filter: {} });
    const rows = eventRows(page);
    return rows.length > 0 && rows;
  });
  expect(events).toMatchObject([{ kind: "mesh.session.superseded", deviceId: device }]);
  expect(gateway.lines.filter(({ message }) => message.includes("superseded"))).toHaveLength(1);
  expect(gateway.core.sessions.stats()).toMatchObject({ superseded: 1, online: 1 });
  // The newer session serves as if nothing had happened.
  expect(await second.heartbeat(1)).toMatchObject({ fenced: [] });
});

test("a device has four connections on the way to a session, and one more is turned away at once", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const live = await gateway.connect(device);
  const dial = () => FakeNode.dial(gateway.network, gateway.core.address, device);
  const silent = [await dial(), await dial(), await dial(), await dial()];
  const open = () => gateway.core.sessions.stats().connections;
  await eventually(() => open() === 5);
  const excess = await dial();
  expect(await excess.closed).toMatchObject({
    kind: "application",
    code: 0x53,
    reason: expect.stringMatching(/opening/u),
  });
  expect(gateway.core.sessions.stats().refused).toMatchObject({ opening: 1 });
  expect(gateway.lines).toContainEqual(
    expect.objectContaining({ level: "warn", fields: expect.objectContaining({ device }) }),
  );
  // Neither another device nor the one's own session pays for it.
  const other = await gateway.connect(await gateway.enroll("b"));
  expect(await other.heartbeat(1)).toMatchObject({ fenced: [] });
  expect(await live.heartbeat(1)).toMatchObject({ fenced: [] });
  silent[0]?.close(0);
  await eventually(() => open() === 5);
  expect((await gateway.connect(device)).welcome.sessionEpoch).toBe(2);
  for (const connection of silent) connection.close(0);
});

test("a hello that names another device is refused", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const other = await gateway.enroll("b");
  const refused = gateway.connect(device, { claims: other });
  await expect(refused).rejects.toMatchObject({ code: "DEVICE_MISMATCH" });
  expect(gateway.core.sessions.isOnline(other)).toBe(false);
});

test("an unknown certificate gets no session", async () => {
  await using gateway = await testGateway();
  const connection = await FakeNode.dial(gateway.network, gateway.core.address, "01JQQQQQQQQQQQQQQQQQQQQQQQ");
  expect(await connection.closed).toMatchObject({ kind: "transport", code: 0x12e });
});

test("streams before welcome are answered STATE_INVALID, and a bad one takes no other with it", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const connection = await FakeNode.dial(gateway.network, gateway.core.address, device);
  const early = new MessageStream(await connection.openStream());
  await early.send({ v: 1, method: "events.publish", outboxEpoch: epoch(1) });
  await expect(early.expect(parseGatewayControl)).rejects.toMatchObject({ code: "STATE_INVALID" });
  connection.close(0);

  const node = await gateway.connect(device);
  const errors = new Map([
    ["METHOD_UNKNOWN", { v: 1, method: "task.run" }],
    ["VERSION_UNSUPPORTED", { v: 2, method: "health" }],
    ["MESSAGE_INVALID", { v: 1, method: "events.publish" }],
  ]);
  for (const [code, request] of errors) {
    const stream = await node.connection.openStream();
    await stream.write(encodeFrame(request));
    const answer = new MessageStream(stream).expect(parseGatewayControl);
    await expect(answer).rejects.toBeInstanceOf(RemoteError);
    await expect(answer).rejects.toMatchObject({ code });
  }
  expect(await node.heartbeat(1)).toMatchObject({ seq: 1 });
});

test("health is answered without a session, takes over none, and keeps nobody from saying hello afterwards", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const running = await gateway.connect(device);
  const doctor = await FakeNode.dial(gateway.network, gateway.core.address, device);
  const stream = new MessageStream(await doctor.openStream());
  await stream.end({ v: 1, method: "health" });
  expect(await stream.expect(parseHealthReply)).toMatchObject({ status: "ok", time: expect.any(Number) });
  expect(gateway.core.sessions.isOnline(device)).toBe(true);
  expect(await running.heartbeat(1)).toMatchObject({ seq: 1 });
  doctor.close(0);
});

test("a stream that says nothing, and one that stops in a frame, are reset", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  const silent = await node.connection.openStream();
  // The first byte of a length; a peer learns of a stream only by its bytes.
  await silent.write(new Uint8Array([0]));
  const half = await node.connection.openStream();
  const request = encodeFrame({ v: 1, method: "events.publish", outboxEpoch: epoch(1) });
  await half.write(request);
  await half.read();
  await half.write(new Uint8Array([0, 0, 1]));
  const codes: unknown[] = [];
  for (const stream of [silent, half]) {
    stream.read().catch((error: unknown) => codes.push(error instanceof TransportError ? error.resetCode : error));
  }
  // In small steps: the gateway starts each time when it has the bytes, and the session must not fall silent on the way.
  let passed = 0;
  await eventually(() => {
    if (passed < 20_000) clock.advance(500);
    passed += 500;
    return codes.length === 2;
  });
  expect(codes).toEqual([0x53, 0x53]);
  expect(gateway.core.sessions.isOnline(device)).toBe(true);
});

test("a node that misses three heartbeats is offline and its connection closed", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  clock.advance(60_000);
  expect(await node.nextControl()).toMatchObject({ type: "ping" });
  expect(gateway.core.sessions.isOnline(device)).toBe(true);
  clock.advance(30_000);
  expect(gateway.core.sessions.isOnline(device)).toBe(false);
  expect(await node.closed).toMatchObject({ code: 0x53 });
});

test("a node that is late is asked two intervals after its last heartbeat, however many came before", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const node = await gateway.connect(await gateway.enroll("a"));
  for (let seq = 1; seq <= 5; seq++) {
    clock.advance(25_000);
    await node.control.send({ type: "heartbeat", seq, load: 0, running: [] });
    expect(await node.nextControl()).toMatchObject({ type: "heartbeat.ack", seq });
  }
  clock.advance(59_000);
  await node.control.send({ type: "heartbeat", seq: 6, load: 0, running: [] });
  expect(await node.nextControl()).toMatchObject({ type: "heartbeat.ack", seq: 6 });
  clock.advance(60_000);
  expect(await node.nextControl()).toMatchObject({ type: "ping" });
});

test("a connection that never says hello is closed", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const device = await gateway.enroll("a");
  const connection = await FakeNode.dial(gateway.network, gateway.core.address, device);
  await eventually(() => gateway.core.sessions.stats().connections === 1);
  clock.advance(10_000);
  expect(await connection.closed).toMatchObject({ code: 0x53 });
});

test("draining tells nodes when to come back, refuses new work, and ends every session", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  const drained = gateway.core.drain({ retryAfterMs: 1234 });
  expect(await node.nextControl()).toEqual({ type: "drain", retryAfterMs: 1234 });
  expect(await node.closed).toMatchObject({ code: 0x50 });
  const submit = gateway.core.tasks.submit({ definition: "work", target: { kind: "any" }, input: new Uint8Array([1]) });
  await expect(submit).rejects.toMatchObject({ code: "GATEWAY_DRAINING" });
  await drained;
  expect(gateway.core.sessions.stats()).toMatchObject({ connections: 0, online: 0 });
});
