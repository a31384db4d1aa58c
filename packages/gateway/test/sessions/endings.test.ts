/** How sessions end: what the node is told, and that it can read it before the connection closes. */
import { encodeFrame, MessageStream, parseGatewayControl, type Connection, type Request } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import type { Store } from "../../src/store/port.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { epoch, FakeNode } from "../support/fake-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";

const hello = (device: string, change: object = {}): Request => ({
  v: 1,
  method: "session.open",
  device,
  nonce: new Uint8Array(16),
  outboxEpoch: epoch(1),
  software: "fake/1",
  platform: { os: "linux", arch: "x64" },
  capabilities: [],
  ...change,
});

async function opened(gateway: TestGateway, device: string, request: object) {
  const connection = await FakeNode.dial(gateway.network, gateway.core.address, device);
  const stream = await connection.openStream();
  await stream.write(encodeFrame(request));
  return { connection, stream: new MessageStream(stream) };
}

/** Whether the connection is over, after everything that can happen without time passing has happened. */
async function isOver(connection: Connection): Promise<boolean> {
  let over = false;
  void connection.closed.then(() => {
    over = true;
  });
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  return over;
}

const REFUSED = [
  ["names another device", { device: "01JQQQQQQQQQQQQQQQQQQQQQQQ" }, "DEVICE_MISMATCH"],
  ["does not fit its schema", { nonce: new Uint8Array(3) }, "MESSAGE_INVALID"],
  ["is of another version", { v: 2 }, "VERSION_UNSUPPORTED"],
] as const;

test.each(REFUSED)(
  "a hello that %s is told so, and its connection closes once that is read",
  async (_, change, code) => {
    const clock = new FakeClock();
    await using gateway = await testGateway({ clock });
    const device = await gateway.enroll("a");
    const { connection, stream } = await opened(gateway, device, hello(device, change));
    await expect(stream.expect(parseGatewayControl)).rejects.toMatchObject({ code });
    expect(await isOver(connection)).toBe(false);
    await stream.end({ type: "bye", reason: "" });
    expect(await connection.closed).toMatchObject({ kind: "application", code: 0x40 });
  },
);

test.each(REFUSED)("a hello that %s gets no second chance on its connection", async (_, change, code) => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const device = await gateway.enroll("a");
  const { connection, stream } = await opened(gateway, device, hello(device, change));
  await expect(stream.expect(parseGatewayControl)).rejects.toMatchObject({ code });
  const second = new MessageStream(await connection.openStream());
  await second.send(hello(device));
  await expect(second.expect(parseGatewayControl)).rejects.toMatchObject({ code: "STATE_INVALID" });
  expect(gateway.core.sessions.isOnline(device)).toBe(false);
  expect(await isOver(connection)).toBe(false);
  clock.advance(1000);
  expect(await connection.closed).toMatchObject({ kind: "application", code: 0x40 });
});

test("a second hello ends the session, and both streams say why", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  const second = new MessageStream(await node.connection.openStream());
  await second.send(hello(device));
  await expect(second.expect(parseGatewayControl)).rejects.toMatchObject({ code: "STATE_INVALID" });
  await expect(node.nextControl()).rejects.toMatchObject({ code: "STATE_INVALID" });
  expect(gateway.core.sessions.isOnline(device)).toBe(false);
  await node.control.end({ type: "bye", reason: "" });
  expect(await node.closed).toMatchObject({ code: 0x40 });
});

test("a control stream that breaks the protocol is told so before the connection closes", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const node = await gateway.connect(await gateway.enroll("a"));
  await node.control.sendFrame(new Uint8Array([0, 0, 0, 1, 0xff]));
  await expect(node.nextControl()).rejects.toMatchObject({ code: "CBOR_INVALID" });
  expect(await isOver(node.connection)).toBe(false);
  clock.advance(1000);
  expect(await node.closed).toMatchObject({ code: 0x40 });
});

test.each([
  [
    "was refused",
    async (gateway: TestGateway, device: string) => await opened(gateway, device, hello(device, { v: 2 })),
  ],
  [
    "broke the protocol",
    async (gateway: TestGateway, device: string) => {
      const { connection, control } = await gateway.connect(device);
      await control.sendFrame(new Uint8Array([0, 0, 0, 1, 0xff]));
      return { connection, stream: control };
    },
  ],
] as const)("a revocation does not wait for a session that %s to be read about", async (_, open) => {
  await using gateway = await testGateway({ clock: new FakeClock() });
  const device = await gateway.enroll("a");
  const { connection, stream } = await open(gateway, device);
  await expect(stream.expect(parseGatewayControl)).rejects.toMatchObject({ name: "RemoteError" });
  expect(await gateway.core.devices.revoke(device, { reason: "sold" })).toMatchObject({ sessionsClosed: 1 });
  expect(await connection.closed).toMatchObject({ kind: "application", code: 0x52 });
});

test("half a frame on the control stream is a timeout", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const node = await gateway.connect(await gateway.enroll("a"));
  await node.control.sendFrame(new Uint8Array([0, 0, 1]));
  let passed = 0;
  void node.closed.then(() => {
    passed = Infinity;
  });
  await eventually(() => {
    if (passed < 10_000) clock.advance(500);
    passed += 500;
    return passed === Infinity;
  });
  expect(await node.closed).toMatchObject({ kind: "application", code: 0x53 });
});

test("before welcome every other method is too early, known or not", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const cases = [
    [{ v: 1, method: "no.such" }, "STATE_INVALID"],
    [{ v: 1, method: "events.publish" }, "STATE_INVALID"],
    [{ v: 1, method: "certificate.renew", csr: new Uint8Array(8) }, "STATE_INVALID"],
    [{ v: 2, method: "health" }, "VERSION_UNSUPPORTED"],
  ] as const;
  const connection = await FakeNode.dial(gateway.network, gateway.core.address, device);
  for (const [request, code] of cases) {
    const stream = await connection.openStream();
    await stream.write(encodeFrame(request));
    await expect(new MessageStream(stream).expect(parseGatewayControl)).rejects.toMatchObject({ code });
  }
  // None of them was the hello.
  const control = new MessageStream(await connection.openStream());
  await control.send(hello(device));
  expect(await control.expect(parseGatewayControl)).toMatchObject({ type: "welcome" });
  connection.close(0);
});

test("heartbeats are answered in their order, however long the store takes over one", async () => {
  const gate = Promise.withResolvers<void>();
  let renewals = 0;
  const wrapStore = (store: Store): Store => {
    const tasks: Store["tasks"] = Object.create(store.tasks, {
      renew: {
        value: async (input: Parameters<Store["tasks"]["renew"]>[0]) => {
          renewals += 1;
          await gate.promise;
          return await store.tasks.renew(input);
        },
      },
    });
    return Object.create(store, { tasks: { value: tasks } });
  };
  await using gateway = await testGateway({ wrapStore });
  const node = await gateway.connect(await gateway.enroll("a"));
  const running = [{ taskId: "01JTTTTTTTTTTTTTTTTTTTTTTT", token: 1 }];
  const load = 0;
  await node.control.send({ type: "heartbeat", seq: 1, load, running });
  await node.control.send({ type: "heartbeat", seq: 2, load, running: [] });
  await node.control.send({ type: "heartbeat", seq: 3, load, running: [] });
  await eventually(() => renewals === 1);
  await isOver(node.connection);
  gate.resolve();
  const answers = [await node.nextControl(), await node.nextControl(), await node.nextControl()];
  expect(answers).toMatchObject([{ seq: 1 }, { seq: 2 }, { seq: 3 }]);
});

test("the signal of its start does not cut sessions off: they are told first", async () => {
  const stop = new AbortController();
  await using gateway = await testGateway({ signal: stop.signal });
  const node = await gateway.connect(await gateway.enroll("a"));
  stop.abort();
  const drained = gateway.core.drain({ retryAfterMs: 777, graceMs: 10 });
  expect(await node.nextControl()).toEqual({ type: "drain", retryAfterMs: 777 });
  expect(await node.closed).toMatchObject({ kind: "application", code: 0x50 });
  await drained;
});
