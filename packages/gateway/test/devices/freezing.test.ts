import { expect, test } from "vitest";
import { FakeNode } from "../support/fake-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";

/** A device of which two hold the key, one with an older token; the first is online. */
async function cloned(gateway: TestGateway) {
  const device = await gateway.enroll("laptop");
  const copy = (await gateway.connect(device)).welcome.join;
  const own = (await gateway.connect(device, { join: copy })).welcome.join;
  const live = await gateway.connect(device, { join: own });
  return { device, copy, live };
}

/** The code a hello's connection is closed with. */
async function refusedWith(gateway: TestGateway, device: string, join?: Uint8Array): Promise<unknown> {
  const connection = await FakeNode.dial(gateway.network, gateway.core.address, device);
  // One that is refused in the handshake gets no stream.
  await FakeNode.greet(connection, device, join === undefined ? {} : { join }).catch(() => undefined);
  return await connection.closed;
}

test("each welcome has another token, and a device that shows the last or the one before is let in", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("laptop");
  const first = (await gateway.connect(device)).welcome.join;
  const second = (await gateway.connect(device, { join: first })).welcome.join;
  // The second welcome was never stored.
  const third = (await gateway.connect(device, { join: first })).welcome.join;
  expect(new Set([first, second, third].map((token) => Buffer.from(token ?? []).toString("hex"))).size).toBe(3);
  await gateway.restart();
  const node = await gateway.connect(device, { join: third });
  expect(await node.heartbeat(1)).toMatchObject({ seq: 1 });
});

test("a stale token freezes both holders: the live one is closed, and neither gets in again, over a restart too", async () => {
  await using gateway = await testGateway();
  const { device, copy, live } = await cloned(gateway);
  const [refused, cut] = await Promise.all([refusedWith(gateway, device, copy), live.closed]);
  expect(refused).toMatchObject({ kind: "application", code: 0x55 });
  expect(cut).toMatchObject({ kind: "application", code: 0x55, byPeer: true });
  expect(await gateway.core.devices.get(device)).toMatchObject({ state: "frozen" });
  for (const again of [false, true]) {
    if (again) await gateway.restart();
    const redial = await FakeNode.dial(gateway.network, gateway.core.address, device);
    expect(await redial.closed).toMatchObject({ kind: "transport", code: 0x131 });
  }
  expect(gateway.lines).toContainEqual(
    expect.objectContaining({ level: "error", message: expect.stringContaining("frozen") }),
  );
});

test("an operator lets it come back: the first is taken as it is, and the other freezes it again", async () => {
  await using gateway = await testGateway();
  const { device, copy } = await cloned(gateway);
  await expect(gateway.core.devices.unfreeze(device)).rejects.toMatchObject({ code: "DEVICE_NOT_FROZEN" });
  await refusedWith(gateway, device, copy);
  expect(await gateway.core.devices.unfreeze("laptop")).toMatchObject({ state: "offline" });
  const first = await gateway.connect(device, { join: copy });
  const second = await gateway.connect(device, { join: first.welcome.join });
  expect(await second.heartbeat(1)).toMatchObject({ seq: 1 });
  expect(await refusedWith(gateway, device)).toMatchObject({ code: 0x55 });
  expect(await second.closed).toMatchObject({ code: 0x55 });
});

test("or revokes it, which stays", async () => {
  await using gateway = await testGateway();
  const { device, copy } = await cloned(gateway);
  await refusedWith(gateway, device, copy);
  expect(await gateway.core.devices.revoke(device)).toMatchObject({ revocationEpoch: 1 });
  await expect(gateway.core.devices.unfreeze(device)).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
  expect(await refusedWith(gateway, device, copy)).toMatchObject({ kind: "transport", code: 0x12c });
});

test("a frozen device gets no certificate", async () => {
  await using gateway = await testGateway();
  const { device, copy } = await cloned(gateway);
  await refusedWith(gateway, device, copy);
  await expect(gateway.core.devices.rotate(device)).rejects.toMatchObject({ code: "DEVICE_FROZEN" });
});
