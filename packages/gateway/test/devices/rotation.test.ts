import { expect, test } from "vitest";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeNode } from "../support/fake-node.ts";
import { testGateway, type TestGateway } from "../support/gateway.ts";

/** What the device gets when it renews. */
async function renewed(gateway: TestGateway, deviceId: string, serial: string, issuedAt = Date.now()): Promise<void> {
  const device = await gateway.store.devices.get(deviceId);
  await gateway.core.devices.addCertificate({
    serial,
    deviceId,
    spkiSha256: device?.spkiSha256 ?? "",
    notBefore: 0,
    notAfter: 4_000_000_000_000,
    issuedAt,
    state: "active",
    chain: [],
  });
}

test("a device that is online is asked at once; the old certificate is refused once the new one is used", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("build-box");
  const node = await gateway.connect(device);
  const rotating = gateway.core.devices.rotate("build-box");
  expect(await node.nextControl()).toEqual({ type: "renew" });
  await renewed(gateway, device, "second");
  // Issued is not used: until then the old one is good.
  expect(await node.heartbeat(1)).toMatchObject({ seq: 1 });
  expect((await gateway.core.devices.get(device)).rotationRequestedAt).toBeDefined();
  await gateway.connect(device, { serial: "second" });
  expect(await rotating).toEqual({ kind: "rotated" });
  expect((await gateway.core.devices.get(device)).rotationRequestedAt).toBeUndefined();
  const old = await FakeNode.dial(gateway.network, gateway.core.address, device);
  expect(await old.closed).toMatchObject({ kind: "transport", code: 0x12e });
});

test("one that is offline is pending, over a restart too, and is asked when it connects", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("laptop");
  expect(await gateway.core.devices.rotate(device)).toEqual({ kind: "pending", why: "offline" });
  await gateway.restart();
  expect((await gateway.core.devices.get(device)).rotationRequestedAt).toBeDefined();
  const node = await gateway.connect(device);
  expect(await node.nextControl()).toEqual({ type: "renew" });
  // A session with the old certificate settles nothing, one with a certificate from before neither.
  await renewed(gateway, device, "older", 1);
  const again = await gateway.connect(device, { serial: "older" });
  expect(await again.nextControl()).toEqual({ type: "renew" });
});

test("one that does not answer in time is pending, and says which", async () => {
  const clock = new FakeClock(Date.now());
  await using gateway = await testGateway({ clock });
  const device = await gateway.enroll("laptop");
  const node = await gateway.connect(device);
  const rotating = gateway.core.devices.rotate(device);
  expect(await node.nextControl()).toEqual({ type: "renew" });
  clock.advance(15_000);
  expect(await rotating).toEqual({ kind: "pending", why: "silent" });
});

test("a revoked device is not rotated", async () => {
  await using gateway = await testGateway();
  const device = await gateway.enroll("laptop");
  await gateway.core.devices.revoke(device);
  await expect(gateway.core.devices.rotate(device)).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
});
