import * as fc from "fast-check";
import {
  certificatesFromPem,
  describeChain,
  fingerprint,
  judgeChain,
  KeyPair,
  meshNameOf,
  meshServerName,
  pairingServerName,
  verifyChain,
  verifyIssuedChain,
  type IssuedDeviceCertificate,
} from "@quaymesh/identity";
import { beforeAll, describe, expect, test } from "vitest";
import { createIssuing, createRoot } from "../src/authority/issuer.ts";
import { buildLeaf, planLeaf } from "../src/authority/leaf.ts";
import { meshIdOf } from "../src/authority/names.ts";
import { leafProfile } from "../src/authority/profile.ts";
import { X509Certificate as ParsedCertificate } from "../src/keys/x509.ts";
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
let pairingChain: Uint8Array[];
let gatewayChain: Uint8Array[];

beforeAll(async () => {
  await using one = await TemporaryDirectory.open();
  await using other = await TemporaryDirectory.open();
  mesh = await createMesh(one.path);
  otherMesh = await createMesh(other.path);
  device = await KeyPair.generate();
  first = await issue(mesh, device);
  pairingChain = certificatesFromPem((await mesh.authority.issuePairingLeaf({ now: NOW })).credentials.chainPem);
  const gateway = certificatesFromPem((await mesh.authority.issueGatewayLeaf({ now: NOW })).credentials.chainPem);
  gatewayChain = [...gateway, mesh.authority.rootDer];
});

describe("a gateway's chain", () => {
  const options = () => ({
    rootSpkiSha256: mesh.authority.rootSpkiSha256,
    meshServerName: pairingServerName(mesh.authority.meshId),
    now: NOW,
  });

  test("that ends at the pin is accepted, with what was seen", () => {
    expect(verifyChain(pairingChain, options())).toMatchObject({
      meshId: mesh.authority.meshId,
      root: mesh.authority.rootDer,
      rootSpkiSha256: mesh.authority.rootSpkiSha256,
      spkiSha256: spkiOf(pairingChain[0]),
    });
    expect(judgeChain(gatewayChain, { ...options(), meshServerName: meshServerName(mesh.authority.meshId) }).kind).toBe(
      "accept",
    );
  });

  test("of another root is refused with both fingerprints", async () => {
    const pin = otherMesh.authority.rootSpkiSha256;
    const error = await expectCode("GATEWAY_PIN_MISMATCH", () =>
      verifyChain(pairingChain, { ...options(), rootSpkiSha256: pin }),
    );
    expect(error.message).toContain(fingerprint(pin));
    expect(error.message).toContain(fingerprint(mesh.authority.rootSpkiSha256));
    const description = describeChain(pairingChain, { expectedRootSpkiSha256: pin, now: NOW });
    expect(description.expectedRoot).toBe(fingerprint(pin));
    expect(description.seenRoot).toBe(fingerprint(mesh.authority.rootSpkiSha256));
    expect(description.subjects).toEqual([
      "CN=quaymesh pairing, O=Quaymesh",
      "CN=harbor issuing CA, O=Quaymesh",
      "CN=harbor, O=Quaymesh",
    ]);
  });

  test("that only carries the pinned root at its end is refused", async () => {
    const { authority } = otherMesh;
    const other = certificatesFromPem((await authority.issuePairingLeaf({ now: NOW })).credentials.chainPem);
    await expectCode("CHAIN_INVALID", () => verifyChain([...other.slice(0, 2), mesh.authority.rootDer], options()));
    await expectCode("CHAIN_INVALID", () => verifyChain([...other.slice(0, 1), ...pairingChain.slice(1)], options()));
  });

  test("at the wrong time names both clocks", async () => {
    const late = NOW + 366 * DAY;
    const error = await expectCode("CLOCK_SKEW", () => verifyChain(pairingChain, { ...options(), now: late }));
    expect(error.message).toContain(new Date(late).toISOString());
    expect(error.message).toContain(new Date(NOW + 365 * DAY).toISOString());
    const early = await expectCode("CLOCK_SKEW", () => verifyChain(pairingChain, { ...options(), now: NOW - DAY }));
    expect(early.message).toContain(new Date(NOW - DAY).toISOString());
    expect(describeChain(pairingChain, { now: late }).dates).toHaveLength(1);
  });

  test("of the mesh endpoint does not pass for the pairing endpoint, nor a device's for either", async () => {
    await expectCode("CHAIN_INVALID", () => verifyChain(gatewayChain, options()));
    await expectCode("CHAIN_INVALID", () =>
      verifyChain(gatewayChain, { ...options(), rootSpkiSha256: "first-use", meshServerName: "x" }),
    );
    const { rootSpkiSha256, now } = options();
    await expectCode("CHAIN_INVALID", () => verifyChain(gatewayChain, { rootSpkiSha256, now }));
    await expectCode("CHAIN_INVALID", () => verifyChain([...first.chain, mesh.authority.rootDer], options()));
  });

  test("of any mesh passes on first use, but not one that names another mesh than its root's", async () => {
    const verdict = judgeChain(pairingChain, { rootSpkiSha256: "first-use", now: NOW });
    expect(verdict).toMatchObject({ kind: "accept", meshId: mesh.authority.meshId });
    const forged = await buildChain({ meshId: otherMesh.authority.meshId });
    await expectCode("CHAIN_INVALID", () => verifyChain(forged.chain, { rootSpkiSha256: "first-use", now: NOW }));
  });

  test("is refused when an intermediate is no CA, too deep, unsigned, empty, too long or unreadable", async () => {
    const { root, issuing, leafKey, chain } = await buildChain({});
    const pinned = { rootSpkiSha256: root.spkiSha256, now: NOW };
    expect(judgeChain(chain, pinned).kind).toBe("accept");
    const [leaf = new Uint8Array(), issuingDer = new Uint8Array(), rootDer = new Uint8Array()] = chain;
    // The issuing CA signs another CA, below its path length of 0.
    const below = await createIssuing(issuing, leafKey, "below", NOW);
    const deepKey = await KeyPair.generate();
    const deepPlan = planLeaf(leafProfile(root.meshId, { kind: "pairing" }), deepKey.spki, below, NOW);
    const deep = new Uint8Array((await buildLeaf(deepPlan, below)).rawData);
    const belowDer = new Uint8Array(below.certificate.rawData);
    expect(judgeChain([deep, belowDer, issuingDer, rootDer], pinned)).toMatchObject({
      detail: expect.stringContaining("longer than a CA"),
    });
    // The leaf signs another leaf.
    const leafAsCa = { certificate: new ParsedCertificate(leaf), keyPair: leafKey };
    const signedByLeaf = new Uint8Array(
      (await buildLeaf(planLeaf(leafProfile(root.meshId, { kind: "pairing" }), deepKey.spki, leafAsCa, NOW), leafAsCa))
        .rawData,
    );
    expect(judgeChain([signedByLeaf, leaf, issuingDer, rootDer], pinned)).toMatchObject({
      detail: expect.stringContaining("no CA"),
    });
    for (const bad of [
      [],
      [rootDer],
      [leaf, rootDer],
      [issuingDer, leaf, rootDer],
      [leaf, new Uint8Array(9), rootDer],
      [leaf, new Uint8Array(5000), rootDer],
      [leaf, issuingDer, issuingDer, issuingDer, rootDer],
    ]) {
      expect(judgeChain(bad, pinned)).toMatchObject({ kind: "refuse", code: "CHAIN_INVALID" });
    }
  });

  test("with any byte changed is refused, whatever the byte, or its key and its root are the same", () => {
    fc.assert(
      fc.property(fc.nat(2), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, where, flip) => {
        const chain = pairingChain.map((der) => Uint8Array.from(der));
        const der = chain[which] ?? new Uint8Array();
        const at = where % der.length;
        der[at] = (der[at] ?? 0) ^ flip;
        const verdict = judgeChain(chain, options());
        // What no signature covers may change how a signature is spelled, and nothing else.
        if (verdict.kind === "accept") {
          const { spkiSha256, rootSpkiSha256 } = verdict;
          expect([spkiSha256, rootSpkiSha256]).toEqual([spkiOf(pairingChain[0]), mesh.authority.rootSpkiSha256]);
        }
        const signedEnd = 8 + Buffer.from(pairingChain[which] ?? []).readUInt16BE(6);
        if (at < signedEnd) expect(verdict.kind).toBe("refuse");
      }),
      { numRuns: 200 },
    );
  });
});

async function buildChain(options: { meshId?: string }) {
  const rootKey = await KeyPair.generate();
  const root = await createRoot(rootKey, "forged", NOW);
  const issuing = await createIssuing(root, await KeyPair.generate(), "forged", NOW);
  const meshId = meshIdOf(rootKey.spkiSha256);
  const leafKey = await KeyPair.generate();
  const profile = leafProfile(options.meshId ?? meshId, { kind: "pairing" });
  const leaf = await buildLeaf(planLeaf(profile, leafKey.spki, issuing, NOW), issuing);
  const chain = [leaf, issuing.certificate, root.certificate].map(({ rawData }) => new Uint8Array(rawData));
  return { chain, root: { spkiSha256: rootKey.spkiSha256, meshId }, issuing, leafKey };
}

describe("an issued certificate", () => {
  const expected = () => ({
    chain: first.chain,
    roots: [mesh.authority.rootDer],
    meshId: mesh.authority.meshId,
    deviceId: DEVICE_ID,
    spkiSha256: device.spkiSha256,
    now: NOW,
  });

  test("is taken by the device it is for, and the mesh's name read from its root", () => {
    expect(verifyIssuedChain(expected())).toMatchObject({
      deviceId: DEVICE_ID,
      serial: first.serial,
      notAfter: NOW + 30 * DAY,
    });
    expect(meshNameOf(mesh.authority.rootDer)).toBe("harbor");
  });

  test("is refused when it is another device's, mesh's, key's, time's or issuer's", async () => {
    await expectCode("CHAIN_INVALID", () => verifyIssuedChain({ ...expected(), deviceId: OTHER_DEVICE_ID }));
    await expectCode("CHAIN_INVALID", () => verifyIssuedChain({ ...expected(), meshId: otherMesh.authority.meshId }));
    await expectCode("CHAIN_INVALID", () => verifyIssuedChain({ ...expected(), spkiSha256: new Uint8Array(32) }));
    await expectCode("CHAIN_INVALID", () => verifyIssuedChain({ ...expected(), roots: [otherMesh.authority.rootDer] }));
    await expectCode("CHAIN_INVALID", () => verifyIssuedChain({ ...expected(), chain: [] }));
    await expectCode("CHAIN_INVALID", () => verifyIssuedChain({ ...expected(), chain: gatewayChain.slice(0, 2) }));
    await expectCode("CLOCK_SKEW", () => verifyIssuedChain({ ...expected(), now: NOW + 30 * DAY }));
    await expectCode("CHAIN_INVALID", () => meshNameOf(new Uint8Array(3)));
  });
});
