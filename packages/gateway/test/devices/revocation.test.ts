import { encodeValue, parsePublishReply } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { eventRows } from "../../src/store/event-rows.ts";
import type { Store } from "../../src/store/port.ts";
import { FakeNode, ticks } from "../support/fake-node.ts";
import { TaskNode } from "../support/task-node.ts";
import { testGateway } from "../support/gateway.ts";

test("a revocation closes the live session with a notice, and the receipt says what it cut", async () => {
  await using gateway = await testGateway();
  const [device, other] = [await gateway.enroll("old-laptop"), await gateway.enroll("other")];
  const node = await TaskNode.over(await gateway.connect(device, { capabilities: [{ name: "work" }] }));
  const bystander = await gateway.connect(other);
  await node.publisher.publish(1, ticks(1, 7));
  const target = { kind: "device", device: "old-laptop" } as const;
  const bound = await gateway.core.tasks.submit({ definition: "work", target, input: encodeValue(1) });
  await node.accept();
  expect(await gateway.core.devices.previewRevocation("old-laptop")).toMatchObject({ sessions: 1, runningTasks: 1 });

  const [receipt, notice, closed] = await Promise.all([
    gateway.core.devices.revoke("old-laptop", { reason: "sold" }),
    node.node.nextControl(),
    node.node.closed,
  ]);
  expect(notice).toEqual({ type: "revoked", epoch: 1, reason: "sold" });
  expect(closed).toMatchObject({ kind: "application", code: 0x52, byPeer: true });
  expect(receipt).toMatchObject({
    deviceId: device,
    deviceName: "old-laptop",
    revocationEpoch: 1,
    sessionsClosed: 1,
    attemptsFenced: 1,
    lastSeq: 7,
    reason: "sold",
  });
  expect(receipt.closedMs).toBeGreaterThan(0);
  expect(await gateway.core.devices.get(device)).toMatchObject({ state: "revoked", revocation: receipt });
  expect(await gateway.core.tasks.get(bound.taskId)).toMatchObject({
    state: "failed",
    error: { code: "DEVICE_REVOKED" },
  });
  // A repeat says the same; the redial is refused in the handshake; nobody else notices.
  expect(await gateway.core.devices.revoke(device, { reason: "again" })).toEqual(receipt);
  const redial = await FakeNode.dial(gateway.network, gateway.core.address, device);
  expect(await redial.closed).toMatchObject({ kind: "transport", code: 0x12c });
  expect(await bystander.heartbeat(1)).toMatchObject({ seq: 1 });
  expect(await gateway.core.status()).toMatchObject({ revocationEpoch: 1, devices: 2, online: 1 });
});

test("a revocation by id asks the store for no more than what cuts the device off, and then for what was measured", async () => {
  const calls: string[] = [];
  const noted = <T extends object>(part: T): T =>
    new Proxy(part, {
      get(target, name, self) {
        calls.push(String(name));
        return Reflect.get(target, name, self);
      },
    });
  const wrapStore = (store: Store): Store => ({
    ...store,
    devices: noted(store.devices),
    sessions: noted(store.sessions),
    tasks: noted(store.tasks),
  });
  await using gateway = await testGateway({ wrapStore });
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  calls.length = 0;
  const before = Date.now();
  await gateway.core.devices.revoke(device);
  expect(await node.closed).toMatchObject({ code: 0x52 });
  expect(calls).toEqual(["revoke", "finishRevocation"]);
  expect((await gateway.store.devices.get(device))?.lastSeenAt).toBeGreaterThanOrEqual(before);
});

test("an id names its device, whatever another is called", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  await gateway.enroll(device);
  expect(await gateway.core.devices.get(device)).toMatchObject({ deviceId: device, name: "a" });
  expect(await gateway.core.devices.revoke(device)).toMatchObject({ deviceId: device });
});

test("a revoked device stays revoked over a restart", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  await gateway.core.devices.revoke(device);
  await gateway.restart();
  const redial = await FakeNode.dial(gateway.network, gateway.core.address, device);
  expect(await redial.closed).toMatchObject({ code: 0x12c });
});

test("a device revoked between its handshake and its registration gets no session", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  // The handshake's own lookup says yes; before anything else happens, the device is revoked.
  gateway.trust.afterLookup = () => {
    gateway.trust.afterLookup = () => undefined;
    gateway.trust.revoke(device);
  };
  const connection = await FakeNode.dial(gateway.network, gateway.core.address, device);
  expect(await connection.closed).toMatchObject({ kind: "application", code: 0x52 });
  expect(gateway.core.sessions.stats().connections).toBe(0);
});

test("a device revoked while its session is being registered gets no welcome", async () => {
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const wrapStore = (store: Store): Store => ({
    ...store,
    tasks: {
      ...store.tasks,
      async resume(input) {
        reached.resolve();
        await gate.promise;
        return await store.tasks.resume(input);
      },
    },
  });
  await using gateway = await testGateway({ wrapStore });
  const device = await gateway.enroll("a");
  const connecting = gateway.connect(device);
  await reached.promise;
  const receipt = gateway.core.devices.revoke(device);
  await expect(connecting).rejects.toMatchObject({ close: { code: 0x52 } });
  gate.resolve();
  expect(await receipt).toMatchObject({ sessionsClosed: 1 });
  expect(gateway.core.sessions.isOnline(device)).toBe(false);
});

test("frames that come after the revocation was committed are dropped", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  const publisher = await node.publish();
  await publisher.publish(1, ticks(1, 3));
  // The commit alone, as another gateway on the same store would make it: this one's session does not know yet.
  await gateway.store.devices.revoke({ deviceId: device, receiptId: "r", reason: "", now: Date.now() });
  await publisher.send(4, ticks(4, 1));
  await expect(publisher.stream.expect(parsePublishReply)).rejects.toMatchObject({ name: "RemoteError" });
  const page = await gateway.store.events.read({ after: 0, limit: 10, maxBytes: 1e6, filter: {} });
  // Of that commit too is the event that tells of it: a crash right behind it leaves nobody without.
  const kinds = eventRows(page).map(({ kind }) => kind);
  expect(kinds).toEqual(["test.tick", "test.tick", "test.tick", "mesh.device.revoked"]);
});

test("revoking a device closes every connection of it, welcome or not", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("a");
  const node = await gateway.connect(device);
  const mute = await FakeNode.dial(gateway.network, gateway.core.address, device);
  await mute.openStream();
  const { sessionsClosed } = await gateway.core.devices.revoke(device);
  expect(sessionsClosed).toBe(2);
  expect([await node.closed, await mute.closed]).toMatchObject([{ code: 0x52 }, { code: 0x52 }]);
});

test("a hundred sessions are cut off one by one, each fast", async () => {
  await using gateway = await testGateway();
  const devices = [];
  for (let index = 0; index < 100; index++) devices.push(await gateway.enroll(`n${index}`));
  await Promise.all(devices.map((device) => gateway.connect(device)));
  const receipts = await Promise.all(devices.map((device) => gateway.core.devices.revoke(device)));
  expect(receipts.map(({ revocationEpoch }) => revocationEpoch).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 100 }, (_, index) => index + 1),
  );
  expect(receipts.every(({ sessionsClosed }) => sessionsClosed === 1)).toBe(true);
  expect(gateway.core.sessions.stats()).toMatchObject({ connections: 0, revoked: 100 });
});
