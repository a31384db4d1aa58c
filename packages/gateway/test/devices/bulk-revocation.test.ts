import { encodeValue } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { testGateway, type TestGateway } from "../support/gateway.ts";

async function addCertificate(gateway: TestGateway, deviceId: string, issuedAt: number): Promise<void> {
  const device = await gateway.store.devices.get(deviceId);
  const spkiSha256 = device?.spkiSha256 ?? "";
  const times = { notBefore: 0, notAfter: 4_000_000_000_000, issuedAt };
  const certificate = { serial: `of ${issuedAt} ${deviceId}`, deviceId, spkiSha256, ...times, chain: [] };
  await gateway.core.devices.addCertificate({ ...certificate, state: "active" });
}

test("a label names devices, each with its share of what is cut, and the others notice nothing", async () => {
  await using gateway = await testGateway();
  const [a, b, other] = [
    await gateway.enroll("a", ["lab", "gpu"]),
    await gateway.enroll("b", ["lab"]),
    await gateway.enroll("other", ["lab-2", "la"]),
  ];
  const [node, bystander] = [await gateway.connect(a), await gateway.connect(other)];
  await gateway.core.tasks.submit({
    definition: "work",
    target: { kind: "device", device: "b" },
    input: encodeValue(1),
  });
  const by = { kind: "label", label: "lab" } as const;
  expect(await gateway.core.devices.previewSelected(by)).toMatchObject([
    { device: { deviceId: a }, sessions: 1, queuedTasks: 0 },
    { device: { deviceId: b }, sessions: 0, queuedTasks: 1 },
  ]);
  const [done, closed] = await Promise.all([
    gateway.core.devices.revokeSelected(by, { reason: "stolen" }),
    node.closed,
  ]);
  expect(closed).toMatchObject({ code: 0x52 });
  expect(done.spared).toEqual([]);
  expect(new Set(done.receipts.map(({ deviceId, reason }) => `${deviceId} ${reason}`))).toEqual(
    new Set([`${a} stolen`, `${b} stolen`]),
  );
  expect(new Set(done.receipts.map(({ revocationEpoch }) => revocationEpoch))).toEqual(new Set([1, 2]));
  expect(await bystander.heartbeat(1)).toMatchObject({ seq: 1 });
  expect(await gateway.core.devices.previewSelected(by)).toEqual([]);
  expect(await gateway.core.devices.revokeSelected(by)).toEqual({ receipts: [], spared: [] });
});

test("a time names the devices whose newest certificate is older", async () => {
  await using gateway = await testGateway();
  const [old, renewed, young] = [
    await gateway.enroll("old"),
    await gateway.enroll("renewed"),
    await gateway.enroll("young"),
  ];
  await addCertificate(gateway, renewed, 2000);
  await addCertificate(gateway, young, 5000);
  const { receipts } = await gateway.core.devices.revokeSelected({ kind: "issued-before", before: 2000 });
  expect(receipts.map(({ deviceId }) => deviceId)).toEqual([old]);
  expect((await gateway.core.devices.get(renewed)).state).toBe("new");
});

test("one that renews between the selection and its turn is spared, and said to be", async () => {
  let renew: () => Promise<void> = async () => undefined;
  await using gateway = await testGateway({
    wrapStore: (store) => ({
      ...store,
      devices: {
        ...store.devices,
        select: async (selector) => {
          const rows = await store.devices.select(selector);
          await renew();
          return rows;
        },
      },
    }),
  });
  const [slow, quick] = [await gateway.enroll("slow"), await gateway.enroll("quick")];
  renew = () => addCertificate(gateway, quick, 9000);
  const done = await gateway.core.devices.revokeSelected({ kind: "issued-before", before: 5000 });
  expect(done.receipts.map(({ deviceId }) => deviceId)).toEqual([slow]);
  expect(done.spared).toEqual([quick]);
});

test("two operators at once revoke each device once, and both hold all the receipts", async () => {
  await using gateway = await testGateway();
  const devices: string[] = [];
  for (let at = 0; at < 40; at++) devices.push(await gateway.enroll(`d${at}`, ["lab"]));
  const by = { kind: "label", label: "lab" } as const;
  const [one, two] = await Promise.all([
    gateway.core.devices.revokeSelected(by),
    gateway.core.devices.revokeSelected(by),
  ]);
  const ids = (done: typeof one) => new Set(done.receipts.map(({ receiptId }) => receiptId));
  expect(ids(one).size).toBe(40);
  expect(ids(two)).toEqual(ids(one));
  expect(await gateway.core.status()).toMatchObject({ revocationEpoch: 40 });
});
