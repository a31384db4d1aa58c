import { createPublicKey, generateKeyPairSync, sign, type webcrypto as WebCrypto, X509Certificate } from "node:crypto";
import { join } from "node:path";
import * as fc from "fast-check";
import {
  Authority,
  certificatesFromPem,
  certificatesToPem,
  createCsr,
  KeyPair,
  KeyStore,
  meshIdOf,
  meshServerName,
  pairingServerName,
  parseCsr,
  Secret,
  selfSignedCredentials,
  sha256,
} from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { createIssuing, createRoot } from "../src/authority/issuer.ts";
import { assertLeaf, buildLeaf, planLeaf } from "../src/authority/leaf.ts";
import { leafProfile } from "../src/authority/profile.ts";
import { Pkcs10CertificateRequestGenerator, webcrypto } from "../src/keys/x509.ts";
import { createMesh, DEVICE_ID, expectCode, NOW, TemporaryDirectory } from "./support.ts";

const DAY = 86_400_000;

function readAll(chain: readonly Uint8Array[]): [X509Certificate, X509Certificate, ...X509Certificate[]] {
  return chain.map((der) => new X509Certificate(der)) as [X509Certificate, X509Certificate];
}

describe("an authority", () => {
  test("has a root that allows one CA below and an intermediate that allows none", async () => {
    await using temporary = await TemporaryDirectory.open();
    const { authority } = await createMesh(temporary.path);
    const { credentials } = await authority.issuePairingLeaf({ now: NOW });
    const [leaf, issuing, root] = readAll(certificatesFromPem(credentials.chainPem));
    expect(root?.raw.equals(authority.rootDer)).toBe(true);
    expect([leaf.ca, issuing.ca, root?.ca]).toEqual([false, true, true]);
    expect(leaf.checkIssued(issuing) && leaf.verify(issuing.publicKey)).toBe(true);
    expect(root !== undefined && issuing.checkIssued(root) && issuing.verify(root.publicKey)).toBe(true);
    expect(root?.subject).toBe("CN=harbor\nO=Quaymesh");
    // BasicConstraints, DER: CA true, path length 1 and 0.
    expect(Buffer.from(root?.raw ?? []).includes(Buffer.from("30060101ff020101", "hex"))).toBe(true);
    expect(issuing.raw.includes(Buffer.from("30060101ff020100", "hex"))).toBe(true);
  });

  test("opens as it was made, without the root's key", async () => {
    await using temporary = await TemporaryDirectory.open();
    const { authority, store } = await createMesh(temporary.path, { meshName: 'a, CN=b + "c"' });
    await store.delete(Authority.rootKeyName);
    const opened = await Authority.open({ store });
    expect(opened.rootPem).toBe(authority.rootPem);
    expect(opened.meshId).toBe(meshIdOf(opened.rootSpkiSha256));
    expect(opened.meshId).toMatch(/^[a-z2-7]{16}$/);
    expect(opened.meshName).toBe('a, CN=b + "c"');
    await opened.issueGatewayLeaf({ now: NOW });
  });

  test("is never overwritten, and its absence or damage has a name", async () => {
    await using temporary = await TemporaryDirectory.open();
    const { store, key } = await createMesh(temporary.path);
    await expectCode("STORE_EXISTS", () => Authority.create({ store, meshName: "other", now: NOW }));
    const empty = await KeyStore.open(join(temporary.path, "empty"), { key });
    await expectCode("STORE_MISSING", () => Authority.open({ store: empty }));
    await empty.put("authority", new Secret("nothing of use"));
    await expectCode("CA_INVALID", () => Authority.open({ store: empty }));
    const blocks = (await store.getText("authority")).reveal().split(/(?<=-----END [A-Z ]+-----)\n/);
    const stranger = await KeyPair.generate();
    await empty.put("authority", new Secret([blocks[0], blocks[1], stranger.privatePem().reveal()].join("\n")));
    await expectCode("CA_INVALID", () => Authority.open({ store: empty }));
    await empty.put("authority", new Secret([blocks[1], blocks[0], blocks[2]].join("\n")));
    await expectCode("CA_INVALID", () => Authority.open({ store: empty }));
  });

  test.each(["", " a", "a\nb", "x".repeat(49), "rtl\u202e"])("does not take %j for a mesh name", async (meshName) => {
    await using temporary = await TemporaryDirectory.open();
    await expectCode("VALUE_INVALID", () => createMesh(temporary.path, { meshName }));
  });

  test("refuses to issue once its intermediate has expired, and never past it", async () => {
    await using temporary = await TemporaryDirectory.open();
    const { authority } = await createMesh(temporary.path);
    const end = NOW + 10 * 365 * DAY;
    expect((await authority.issueGatewayLeaf({ now: end - DAY })).notAfter).toBe(end);
    await expectCode("CA_INVALID", () => authority.issueGatewayLeaf({ now: end }));
    // Before it began to be valid it is not the CA that is wrong.
    await expectCode("CLOCK_SKEW", () => authority.issueGatewayLeaf({ now: NOW - DAY }));
  });
});

describe("leaves", () => {
  test("of the two endpoints differ in name and key, and are for servers alone", async () => {
    await using temporary = await TemporaryDirectory.open();
    const { authority } = await createMesh(temporary.path);
    const gateway = await authority.issueGatewayLeaf({ now: NOW });
    const pairing = await authority.issuePairingLeaf({ now: NOW });
    const read = (endpoint: typeof gateway): X509Certificate =>
      readAll(certificatesFromPem(endpoint.credentials.chainPem))[0];
    expect(read(gateway).subjectAltName).toBe(`DNS:${meshServerName(authority.meshId)}`);
    expect(read(pairing).subjectAltName).toBe(`DNS:${pairingServerName(authority.meshId)}`);
    expect(read(gateway).checkHost(pairingServerName(authority.meshId))).toBeUndefined();
    expect(read(gateway).keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    expect(read(pairing).keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    expect(Buffer.from(gateway.spkiSha256).equals(pairing.spkiSha256)).toBe(false);
    expect(certificatesFromPem(gateway.credentials.chainPem)).toHaveLength(2);
    const key = await KeyPair.fromPem(new Secret(gateway.credentials.keyPem));
    expect(key.spkiSha256).toEqual(gateway.spkiSha256);
  });

  test("of devices have the profile of the design", async () => {
    await using temporary = await TemporaryDirectory.open();
    const { authority } = await createMesh(temporary.path);
    const keyPair = await KeyPair.generate();
    const request = { csr: await createCsr(keyPair), deviceId: DEVICE_ID, expectedSpkiSha256: keyPair.spkiSha256 };
    const issued = await authority.issueDeviceLeaf({ ...request, now: NOW });
    const [leaf, issuing] = readAll(issued.chain);
    expect(leaf.subjectAltName).toBe(`URI:spiffe://${authority.meshId}/device/${DEVICE_ID}`);
    expect(leaf.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(leaf.ca).toBe(false);
    expect(leaf.validFromDate.getTime()).toBe(NOW - 600_000);
    expect(leaf.validToDate.getTime()).toBe(NOW + 30 * DAY);
    expect(leaf.serialNumber.toLowerCase()).toBe(issued.serial);
    expect(leaf.checkIssued(issuing) && leaf.verify(issuing.publicKey)).toBe(true);
    expect(sha256(leaf.publicKey.export({ type: "spki", format: "der" }))).toEqual(keyPair.spkiSha256);
    // Key usage, DER: critical, digitalSignature alone. Basic constraints: critical, empty.
    expect(leaf.raw.includes(Buffer.from("0603551d0f0101ff040403020780", "hex"))).toBe(true);
    expect(leaf.raw.includes(Buffer.from("0603551d130101ff04023000", "hex"))).toBe(true);
    expect(issued.renewAfter).toBeGreaterThanOrEqual(NOW + 15 * DAY);
    expect(issued.renewAfter).toBeLessThanOrEqual(NOW + 18 * DAY);
    const again = await authority.issueDeviceLeaf({ ...request, now: NOW });
    expect(again.serial).not.toBe(issued.serial);
  });

  test("are not issued for another key than the expected one, nor for an id that is no ULID", async () => {
    await using temporary = await TemporaryDirectory.open();
    const { authority } = await createMesh(temporary.path);
    const keyPair = await KeyPair.generate();
    const csr = await createCsr(keyPair);
    const expectedSpkiSha256 = (await KeyPair.generate()).spkiSha256;
    await expectCode("PAIR_KEY_MISMATCH", () =>
      authority.issueDeviceLeaf({ csr, deviceId: DEVICE_ID, expectedSpkiSha256, now: NOW }),
    );
    for (const deviceId of ["", "../../etc", DEVICE_ID.toLowerCase(), `${DEVICE_ID}/x`, `8${DEVICE_ID.slice(1)}`]) {
      await expectCode("VALUE_INVALID", () =>
        authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: keyPair.spkiSha256, now: NOW }),
      );
    }
  });

  test("that differ from their plan in anything are withheld", async () => {
    const root = await createRoot(await KeyPair.generate(), "harbor", NOW);
    const issuer = await createIssuing(root, await KeyPair.generate(), "harbor", NOW);
    const meshId = "abcdefghijklmnop";
    const { spki } = await KeyPair.generate();
    const plan = planLeaf(leafProfile(meshId, { kind: "device", deviceId: DEVICE_ID }), spki, issuer, NOW);
    const der = new Uint8Array((await buildLeaf(plan, issuer)).rawData);
    assertLeaf(der, plan, issuer);
    const gateway = leafProfile(meshId, { kind: "gateway" });
    const wrong = [
      { ...plan, serial: "4".repeat(32) },
      { ...plan, notAfter: plan.notAfter + 1000 },
      { ...plan, notBefore: plan.notBefore - 1000 },
      { ...plan, spki: (await KeyPair.generate()).spki },
      { ...plan, profile: { ...plan.profile, extendedKeyUsage: gateway.extendedKeyUsage } },
      { ...plan, profile: { ...plan.profile, subjectAlternativeName: gateway.subjectAlternativeName } },
    ];
    for (const other of wrong) await expectCode("CA_INVALID", () => assertLeaf(der, other, issuer));
    await expectCode("CA_INVALID", () => assertLeaf(der, plan, root));
    await expectCode("CA_INVALID", () => assertLeaf(new Uint8Array(root.certificate.rawData), plan, root));
  });
});

describe("a certificate request", () => {
  test("gives its key and nothing else, whatever else it asks for", async () => {
    const keyPair = await KeyPair.generate();
    const request = await parseCsr(await createCsr(keyPair));
    expect(request).toEqual({ spki: keyPair.spki, spkiSha256: keyPair.spkiSha256 });
  });

  test("is never the same twice", async () => {
    const keyPair = await KeyPair.generate();
    const [one, other] = [await createCsr(keyPair), await createCsr(keyPair)];
    expect(Buffer.from(one).equals(other)).toBe(false);
  });

  test.each([
    ["P-384", { name: "ECDSA", namedCurve: "P-384" }, { name: "ECDSA", hash: "SHA-384" }],
    ["P-384 signed with SHA-256", { name: "ECDSA", namedCurve: "P-384" }, { name: "ECDSA", hash: "SHA-256" }],
    ["Ed25519", { name: "Ed25519" }, { name: "Ed25519" }],
    [
      "RSA",
      { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) },
      { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    ],
    ["P-256 signed with SHA-384", { name: "ECDSA", namedCurve: "P-256" }, { name: "ECDSA", hash: "SHA-384" }],
  ])("for %s is refused", async (_, algorithm, signingAlgorithm) => {
    const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as WebCrypto.CryptoKeyPair;
    const request = await Pkcs10CertificateRequestGenerator.create({ name: "CN=x", keys, signingAlgorithm });
    await expectCode("PAIR_CSR_INVALID", () => parseCsr(new Uint8Array(request.rawData)));
  });

  test("signed by another key is refused", async () => {
    const [owner, thief] = [await KeyPair.generate(), await KeyPair.generate()];
    const csr = await createCsr(owner);
    const at = Buffer.from(csr).indexOf(Buffer.from(owner.spki));
    const stolen = Uint8Array.from(csr);
    stolen.set(thief.spki, at);
    await expectCode("PAIR_CSR_INVALID", () => parseCsr(stolen));
  });

  test("that is empty, too long or cut is refused", async () => {
    const csr = await createCsr(await KeyPair.generate());
    await expectCode("PAIR_CSR_INVALID", () => parseCsr(new Uint8Array()));
    await expectCode("PAIR_CSR_INVALID", () => parseCsr(new Uint8Array(2049)));
    await expectCode("PAIR_CSR_INVALID", () => parseCsr(Uint8Array.of(...csr, 0)));
    for (let at = 0; at < csr.length; at++) {
      await expectCode("PAIR_CSR_INVALID", () => parseCsr(csr.subarray(0, at)));
    }
  });

  test("changed where it is signed is refused, and changed elsewhere never gives another key", async () => {
    const keyPair = await KeyPair.generate();
    const csr = await createCsr(keyPair);
    // SEQUENCE { SEQUENCE signed, algorithm, signature }, each length in two bytes.
    const signedEnd = 6 + (csr[5] ?? 0);
    await fc.assert(
      fc.asyncProperty(fc.nat(csr.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const changed = Uint8Array.from(csr);
        changed[at] = (changed[at] ?? 0) ^ flip;
        if (at < signedEnd) await expectCode("PAIR_CSR_INVALID", () => parseCsr(changed));
        const key = await parseCsr(changed).catch(({ code }: { code: unknown }) => code);
        expect([{ spki: keyPair.spki, spkiSha256: keyPair.spkiSha256 }, "PAIR_CSR_INVALID"]).toContainEqual(key);
      }),
      { numRuns: 150 },
    );
  });

  test("of random bytes is refused", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
        await expectCode("PAIR_CSR_INVALID", () => parseCsr(bytes));
      }),
      { numRuns: 100 },
    );
  });
});

describe("keys", () => {
  test("go out as PKCS #8 PEM and come back the same", async () => {
    const keyPair = await KeyPair.generate();
    const again = await KeyPair.fromPem(keyPair.privatePem());
    expect(again.spki).toEqual(keyPair.spki);
    const data = Buffer.from("signed by OpenSSL");
    const signature = sign("sha256", data, keyPair.privatePem().reveal());
    expect(createPublicKey({ key: Buffer.from(keyPair.spki), type: "spki", format: "der" }).asymmetricKeyType).toBe(
      "ec",
    );
    expect(signature.length).toBeGreaterThan(60);
  });

  test("other than P-256, or unreadable, are refused without being shown", async () => {
    const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" }).privateKey;
    const ed25519 = generateKeyPairSync("ed25519").privateKey;
    for (const pem of [p384, ed25519].map((key) => key.export({ type: "pkcs8", format: "pem" }) as string)) {
      const error = await expectCode("KEY_INVALID", () => KeyPair.fromPem(new Secret(pem)));
      expect(error.message).not.toContain(pem.slice(40, 80));
    }
    await expectCode("KEY_INVALID", () => KeyPair.fromPem(new Secret("not pem")));
  });

  test("a self-signed certificate proves possession and is no CA", async () => {
    const keyPair = await KeyPair.generate();
    const { chainPem } = await selfSignedCredentials(keyPair, { now: NOW });
    const certificate = new X509Certificate(chainPem);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(sha256(certificate.publicKey.export({ type: "spki", format: "der" }))).toEqual(keyPair.spkiSha256);
  });

  test("certificates survive PEM, and other blocks are refused", async () => {
    await using temporary = await TemporaryDirectory.open();
    const { authority } = await createMesh(temporary.path);
    expect(certificatesFromPem(certificatesToPem([authority.rootDer, authority.rootDer]))).toEqual([
      authority.rootDer,
      authority.rootDer,
    ]);
    await expectCode("CHAIN_INVALID", () => certificatesFromPem("no pem"));
    const keyPair = await KeyPair.generate();
    await expectCode("CHAIN_INVALID", () => certificatesFromPem(keyPair.privatePem().reveal()));
  });
});
