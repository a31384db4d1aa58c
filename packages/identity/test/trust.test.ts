import { X509Certificate } from "node:crypto";
import * as fc from "fast-check";
import {
  certificatesFromPem,
  KeyPair,
  readDeviceLeaf,
  selfSignedCredentials,
  sha256,
  TrustIndex,
  type IssuedDeviceCertificate,
  type TrustVerdict,
} from "@quaymesh/identity";
import type { PeerIdentity } from "@quaymesh/protocol";
import { beforeAll, describe, expect, test } from "vitest";
import { EKU_CLIENT_AUTH, EKU_SERVER_AUTH } from "../src/authority/profile.ts";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  SIGNING_ALGORITHM,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "../src/keys/x509.ts";
import { ReadCache } from "../src/trust/read-cache.ts";
import { malleate } from "./malleate.ts";
import {
  createMesh,
  issue,
  spkiOf,
  DEVICE_ID,
  expectCode,
  NOW,
  OTHER_DEVICE_ID,
  TemporaryDirectory,
  type TestMesh,
} from "./support.ts";

const DAY = 86_400_000;

let mesh: TestMesh;
let otherMesh: TestMesh;
let device: KeyPair;
let first: IssuedDeviceCertificate;
let second: IssuedDeviceCertificate;
let elsewhere: IssuedDeviceCertificate;
let gatewayChain: Uint8Array[];

beforeAll(async () => {
  await using one = await TemporaryDirectory.open();
  await using other = await TemporaryDirectory.open();
  mesh = await createMesh(one.path);
  otherMesh = await createMesh(other.path);
  device = await KeyPair.generate();
  first = await issue(mesh, device);
  second = await issue(mesh, device);
  elsewhere = await issue(otherMesh, device);
  const gateway = certificatesFromPem((await mesh.authority.issueGatewayLeaf({ now: NOW })).credentials.chainPem);
  gatewayChain = [...gateway, mesh.authority.rootDer];
});

const peerOf = ({ chain, spkiSha256 }: Pick<IssuedDeviceCertificate, "chain" | "spkiSha256">): PeerIdentity => ({
  chain,
  spkiSha256,
});
const answer = (verdict: TrustVerdict): string => (verdict.kind === "accept" ? "accept" : verdict.reason);

function createIndex(options: { now?: () => number; maxAgeMs?: number } = {}): TrustIndex {
  const { now = () => NOW, maxAgeMs } = options;
  const base = { meshId: mesh.authority.meshId, now };
  return new TrustIndex(maxAgeMs === undefined ? base : { ...base, freshness: { kind: "confirmed", maxAgeMs } });
}

describe("the trust index", () => {
  test("admits nobody who was not enrolled, and who was by device, serial and key together", () => {
    const index = createIndex();
    expect(answer(index.authorize(peerOf(first)))).toBe("unknown");
    index.enrol(DEVICE_ID, second);
    expect(answer(index.authorize(peerOf(first)))).toBe("unknown");
    index.enrol(DEVICE_ID, { serial: first.serial, spkiSha256: new Uint8Array(32) });
    expect(answer(index.authorize(peerOf(first)))).toBe("unknown");
    index.enrol(OTHER_DEVICE_ID, first);
    expect(answer(index.authorize(peerOf(first)))).toBe("unknown");
    index.enrol(DEVICE_ID, first);
    expect(index.authorize(peerOf(first))).toEqual({
      kind: "accept",
      deviceId: DEVICE_ID,
      serial: first.serial,
      spkiSha256: device.spkiSha256,
    });
  });

  test("refuses a revoked device whatever is loaded, enrolled or removed afterwards", async () => {
    const index = createIndex();
    const record = { kind: "enrolled", deviceId: DEVICE_ID, certificates: [first] } as const;
    index.load({ revocationEpoch: 0, devices: [record] });
    expect(answer(index.authorize(peerOf(first)))).toBe("accept");
    index.revoke(DEVICE_ID, 1);
    expect(answer(index.authorize(peerOf(first)))).toBe("revoked");
    index.remove(DEVICE_ID);
    expect(answer(index.authorize(peerOf(first)))).toBe("revoked");
    await expectCode("DEVICE_REVOKED", () => index.enrol(DEVICE_ID, second));
    index.load({ revocationEpoch: 1, devices: [record] });
    expect(answer(index.authorize(peerOf(first)))).toBe("revoked");
    expect(index.statusOf(DEVICE_ID)).toBe("revoked");
    expect(index.revocationEpoch).toBe(1);
  });

  test("takes a device that a snapshot lists both ways for revoked, in whatever order", () => {
    const enrolled = { kind: "enrolled", deviceId: DEVICE_ID, certificates: [first] } as const;
    const revoked = { kind: "revoked", deviceId: DEVICE_ID } as const;
    for (const devices of [
      [enrolled, revoked],
      [revoked, enrolled],
    ]) {
      const index = createIndex();
      index.load({ revocationEpoch: 1, devices });
      expect([index.size, index.statusOf(DEVICE_ID)]).toEqual([0, "revoked"]);
      expect(index.deviceOfKey(device.spkiSha256)).toBeUndefined();
      expect(answer(index.authorize(peerOf(first)))).toBe("revoked");
    }
  });

  test.each([
    ["a CA", { ca: true, usages: [EKU_CLIENT_AUTH], uris: 1 }],
    ["for servers", { ca: false, usages: [EKU_SERVER_AUTH], uris: 1 }],
    ["for servers too", { ca: false, usages: [EKU_CLIENT_AUTH, EKU_SERVER_AUTH], uris: 1 }],
    ["for anything", { ca: false, usages: [], uris: 1 }],
    ["of two names", { ca: false, usages: [EKU_CLIENT_AUTH], uris: 2 }],
    ["of no name", { ca: false, usages: [EKU_CLIENT_AUTH], uris: 0 }],
  ])("does not take a certificate that is %s for a device's, though it is enrolled", async (_, shape) => {
    const keyPair = await KeyPair.generate();
    const uri = { type: "url", value: `spiffe://${mesh.authority.meshId}/device/${DEVICE_ID}` } as const;
    const serial = "4".repeat(32);
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: serial,
      name: "CN=odd",
      notBefore: new Date(NOW - 1000),
      notAfter: new Date(NOW + DAY),
      keys: keyPair.keys,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(shape.ca, undefined, true),
        ...(shape.usages.length === 0 ? [] : [new ExtendedKeyUsageExtension(shape.usages)]),
        ...(shape.uris === 0
          ? []
          : [new SubjectAlternativeNameExtension(Array.from({ length: shape.uris }, () => uri))]),
      ],
    });
    const index = createIndex();
    index.enrol(DEVICE_ID, { serial, spkiSha256: keyPair.spkiSha256 });
    const peer = { chain: [new Uint8Array(certificate.rawData)], spkiSha256: keyPair.spkiSha256 };
    expect(answer(index.authorize(peer))).toBe("denied");
  });

  test("takes over nothing from a snapshot older than what it has seen", async () => {
    const index = createIndex();
    index.enrol(DEVICE_ID, first);
    index.revoke(OTHER_DEVICE_ID, 7);
    await expectCode("VALUE_INVALID", () => index.load({ revocationEpoch: 6, devices: [] }));
    expect(answer(index.authorize(peerOf(first)))).toBe("accept");
    await expectCode("VALUE_INVALID", () => index.revoke(DEVICE_ID, 6));
    expect(answer(index.authorize(peerOf(first)))).toBe("revoked");
  });

  test("keeps the old certificate of a renewal until the new one was used, and no older one after", () => {
    const index = createIndex();
    index.enrol(DEVICE_ID, first);
    index.enrol(DEVICE_ID, second);
    expect([first, second].map((issued) => answer(index.authorize(peerOf(issued))))).toEqual(["accept", "accept"]);
    expect(index.markUsed(DEVICE_ID, first.serial)).toEqual([]);
    expect(index.markUsed(DEVICE_ID, second.serial)).toEqual([first.serial]);
    expect([first, second].map((issued) => answer(index.authorize(peerOf(issued))))).toEqual(["unknown", "accept"]);
    expect(index.deviceOfKey(device.spkiSha256)).toBe(DEVICE_ID);
    expect(index.deviceOfKey(new Uint8Array(32))).toBeUndefined();
  });

  test("refuses everyone when it is out of touch with a shared store, and a revoked device as revoked", () => {
    let now = NOW;
    const index = createIndex({ now: () => now, maxAgeMs: 10_000 });
    index.enrol(DEVICE_ID, first);
    expect(answer(index.authorize(peerOf(first)))).toBe("denied");
    index.confirm();
    now += 10_000;
    expect(answer(index.authorize(peerOf(first)))).toBe("accept");
    now += 1;
    expect(answer(index.authorize(peerOf(first)))).toBe("denied");
    index.confirm();
    now -= 1000;
    expect(answer(index.authorize(peerOf(first)))).toBe("denied");
    index.revoke(DEVICE_ID, 1);
    expect(answer(index.authorize(peerOf(first)))).toBe("revoked");
  });

  test("refuses another mesh, another time, another profile, another key and no certificate", async () => {
    let now = NOW;
    const index = createIndex({ now: () => now });
    index.enrol(DEVICE_ID, first);
    index.enrol(DEVICE_ID, elsewhere);
    expect(answer(index.authorize(peerOf(elsewhere)))).toBe("unknown");
    now = NOW + 30 * DAY;
    expect(answer(index.authorize(peerOf(first)))).toBe("expired");
    now = NOW - 600_001;
    expect(answer(index.authorize(peerOf(first)))).toBe("expired");
    now = NOW;
    expect(answer(index.authorize({ chain: first.chain, spkiSha256: new Uint8Array(32) }))).toBe("denied");
    expect(answer(index.authorize({ chain: [], spkiSha256: device.spkiSha256 }))).toBe("unknown");
    const self = certificatesFromPem((await selfSignedCredentials(device, { now: NOW })).chainPem);
    for (const chain of [gatewayChain, gatewayChain.slice(1), self, [new Uint8Array(4)], [new Uint8Array(5000)]]) {
      const spkiSha256 = chain[0]?.length === 4 || chain[0]?.length === 5000 ? new Uint8Array(32) : spkiOf(chain[0]);
      expect(answer(index.authorize({ chain, spkiSha256 }))).toBe("denied");
    }
  });

  test("is not fooled by a certificate whose signature was rewritten to an equally valid one", () => {
    const index = createIndex();
    index.enrol(DEVICE_ID, first);
    const rewritten = malleate(first.chain[0] ?? new Uint8Array());
    const issuing = new X509Certificate(first.chain[1] ?? new Uint8Array());
    expect(new X509Certificate(rewritten).verify(issuing.publicKey)).toBe(true);
    expect(Buffer.from(sha256(rewritten)).equals(sha256(first.chain[0] ?? new Uint8Array()))).toBe(false);
    const peer = { chain: [rewritten, ...first.chain.slice(1)], spkiSha256: first.spkiSha256 };
    expect(answer(index.authorize(peer))).toBe("accept");
    index.revoke(DEVICE_ID, 1);
    expect(answer(index.authorize(peer))).toBe("revoked");
  });

  test("remembers what a certificate says, never that it was trusted, and not without bound", () => {
    const cache = new ReadCache(readDeviceLeaf, 16);
    const der = first.chain[0] ?? new Uint8Array();
    expect(cache.read(der)).toEqual(readDeviceLeaf(der));
    expect(cache.read(Uint8Array.from(der))).toBe(cache.read(der));
    expect(cache.read(malleate(der))).not.toBe(cache.read(der));
    expect(cache.size).toBe(2);
    expect(typeof cache.read(gatewayChain[0] ?? der)).toBe("string");
    expect(cache.size).toBe(2);
    const small = new ReadCache(readDeviceLeaf, 2);
    for (const { chain } of [first, second, elsewhere, first]) small.read(chain[0] ?? der);
    expect(small.size).toBe(2);
    const index = createIndex();
    index.enrol(DEVICE_ID, first);
    expect(answer(index.authorize(peerOf(first)))).toBe("accept");
    index.remove(DEVICE_ID);
    expect(answer(index.authorize(peerOf(first)))).toBe("unknown");
  });

  test("whatever happens in whatever order, a revoked device never gets in again", () => {
    const action = fc.constantFrom("enrol", "enrolOther", "load", "remove", "use", "confirm", "revoke");
    fc.assert(
      fc.property(fc.array(action, { maxLength: 20 }), (actions) => {
        const index = createIndex();
        let revoked = false;
        for (const name of actions) {
          if (name === "enrol" && !revoked) index.enrol(DEVICE_ID, first);
          if (name === "enrolOther") index.enrol(OTHER_DEVICE_ID, second);
          if (name === "load") {
            index.load({
              revocationEpoch: index.revocationEpoch,
              devices: [{ kind: "enrolled", deviceId: DEVICE_ID, certificates: [first, second] }],
            });
          }
          if (name === "remove") index.remove(DEVICE_ID);
          if (name === "use") index.markUsed(DEVICE_ID, second.serial);
          if (name === "confirm") index.confirm();
          if (name === "revoke") {
            index.revoke(DEVICE_ID, index.revocationEpoch + 1);
            revoked = true;
          }
          if (revoked) expect(answer(index.authorize(peerOf(first)))).toBe("revoked");
        }
      }),
      { numRuns: 50 },
    );
  });
});
