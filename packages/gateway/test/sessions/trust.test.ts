/** The core with the real authority and the real trust index: enrolment, renewal, retirement, revocation. */
import { join } from "node:path";
import {
  Authority,
  certificatesFromPem,
  certificatesToPem,
  createCsr,
  KeyPair,
  KeyStore,
  readDeviceLeaf,
  sealingKey,
  TrustIndex,
  type IssuedDeviceCertificate,
} from "@quaymesh/identity";
import {
  MessageStream,
  parseGatewayControl,
  parseRenewReply,
  type Connection,
  type Credentials,
  type PeerIdentity,
} from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { expect, test } from "vitest";
import { GatewayCore } from "../../src/core.ts";
import { newId } from "../../src/tasks/ids.ts";
import { temporaryStore } from "../store/temporary-store.ts";
import { eventually } from "../support/eventually.ts";
import { epoch } from "../support/fake-node.ts";

/** What TLS would show for these credentials. */
function peerOf(credentials: Credentials): PeerIdentity {
  const chain = certificatesFromPem(credentials.chainPem);
  const leaf = chain[0] === undefined ? "no certificate" : readDeviceLeaf(chain[0]);
  return { chain, spkiSha256: typeof leaf === "string" ? new Uint8Array(32) : leaf.spkiSha256 };
}

async function realGateway() {
  const under = await temporaryStore();
  const keys = await KeyStore.open(join(under.directory, "keys"), { key: sealingKey(new Uint8Array(32).fill(1)) });
  const authority = await Authority.create({ store: keys, meshName: "harbor", now: Date.now() });
  const trust = new TrustIndex({ meshId: authority.meshId, now: () => Date.now() });
  const network = createMemoryNetwork({ peerOf });
  const core = await GatewayCore.open({
    store: under.store,
    transport: network,
    credentials: (await authority.issueGatewayLeaf({ now: Date.now() })).credentials,
    anchorsPem: authority.rootPem,
    trust,
    issuer: authority,
    address: { host: "127.0.0.1", port: 0 },
    meshId: authority.meshId,
  });
  return {
    core,
    store: under.store,
    authority,
    async dial(keyPair: KeyPair, chain: readonly Uint8Array[]): Promise<Connection> {
      const credentials = { keyPem: keyPair.privatePem().reveal(), chainPem: certificatesToPem(chain) };
      const trusting = { kind: "anchored", anchorsPem: authority.rootPem } as const;
      const options = { protocol: "quaymesh/1", serverName: "gateway", credentials, trust: trusting };
      return await network.dial(core.address, options);
    },
    async [Symbol.asyncDispose]() {
      await core.close();
      await under[Symbol.asyncDispose]();
    },
  };
}

type RealGateway = Awaited<ReturnType<typeof realGateway>>;

async function pair({ authority, core }: RealGateway, keyPair: KeyPair): Promise<IssuedDeviceCertificate> {
  const now = Date.now();
  const deviceId = newId(now);
  const csr = await createCsr(keyPair);
  const issued = await authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: keyPair.spkiSha256, now });
  const spkiSha256 = Buffer.from(issued.spkiSha256).toString("hex");
  const certificate = { ...issued, spkiSha256, issuedAt: now, state: "active" } as const;
  await core.devices.enroll({ deviceId, name: "n", labels: [], purpose: "", platform: "", certificate, now });
  return issued;
}

async function openSession(connection: Connection, device: string): Promise<MessageStream> {
  const control = new MessageStream(await connection.openStream());
  await control.send({
    v: 1,
    method: "session.open",
    device,
    nonce: new Uint8Array(16),
    outboxEpoch: epoch(1),
    software: "test",
    platform: { os: "linux", arch: "x64" },
    capabilities: [],
  });
  expect(await control.expect(parseGatewayControl)).toMatchObject({ type: "welcome" });
  return control;
}

test("a renewed certificate is good at once, the old one until the new one was used", async () => {
  await using gateway = await realGateway();
  const keyPair = await KeyPair.generate();
  const issued = await pair(gateway, keyPair);
  const first = await gateway.dial(keyPair, issued.chain);
  await openSession(first, issued.deviceId);
  const renewal = new MessageStream(await first.openStream());
  await renewal.send({ v: 1, method: "certificate.renew", csr: await createCsr(keyPair) });
  const renewed = await renewal.expect(parseRenewReply);
  expect(renewed.renewAfter).toBeGreaterThan(Date.now());

  // Not used yet: the old one still opens a session.
  await openSession(await gateway.dial(keyPair, issued.chain), issued.deviceId);
  await openSession(await gateway.dial(keyPair, renewed.chain), issued.deviceId);
  const old = await gateway.dial(keyPair, issued.chain);
  expect(await old.closed).toMatchObject({ kind: "transport", code: 0x12e });
  // The index knew at once; the store follows.
  await eventually(async () => {
    const stored = await gateway.store.devices.certificates(issued.deviceId);
    return stored.map(({ state }) => state).join(" ") === "retired active";
  });
});

test("a renewal for another key is refused, and renewals without use have an end", async () => {
  await using gateway = await realGateway();
  const keyPair = await KeyPair.generate();
  const issued = await pair(gateway, keyPair);
  const connection = await gateway.dial(keyPair, issued.chain);
  await openSession(connection, issued.deviceId);
  const renew = async (key: KeyPair) => {
    const stream = new MessageStream(await connection.openStream());
    await stream.send({ v: 1, method: "certificate.renew", csr: await createCsr(key) });
    return await stream.expect(parseRenewReply);
  };
  await expect(renew(await KeyPair.generate())).rejects.toMatchObject({ code: "PAIR_KEY_MISMATCH" });
  for (let count = 0; count < 3; count++) await renew(keyPair);
  await expect(renew(keyPair)).rejects.toMatchObject({ code: "STATE_INVALID" });
});

test("a revocation reaches the session and the redial, whatever certificate it shows", async () => {
  await using gateway = await realGateway();
  const keyPair = await KeyPair.generate();
  const issued = await pair(gateway, keyPair);
  const connection = await gateway.dial(keyPair, issued.chain);
  const control = await openSession(connection, issued.deviceId);
  const [receipt, notice, closed] = await Promise.all([
    gateway.core.devices.revoke(issued.deviceId, { reason: "lost" }),
    control.expect(parseGatewayControl),
    connection.closed,
  ]);
  expect(notice).toEqual({ type: "revoked", epoch: 1, reason: "lost" });
  expect([closed, receipt]).toMatchObject([{ code: 0x52 }, { sessionsClosed: 1 }]);
  const redial = await gateway.dial(keyPair, issued.chain);
  expect(await redial.closed).toMatchObject({ kind: "transport", code: 0x12c });
});
