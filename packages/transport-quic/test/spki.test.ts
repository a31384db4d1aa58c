import "reflect-metadata";
import { X509Certificate, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { subjectPublicKeyInfo } from "../src/spki.ts";

x509.cryptoProvider.set(webcrypto);

const ALGORITHMS = {
  "P-256": { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  "P-384": { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  Ed25519: { name: "Ed25519" },
  "RSA 2048": {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    modulusLength: 2048,
    publicExponent: Uint8Array.of(1, 0, 1),
  },
} as const;

async function certificate(algorithm: keyof typeof ALGORITHMS, name: string, serialNumber = "01"): Promise<Buffer> {
  const signingAlgorithm = ALGORITHMS[algorithm];
  const keys = (await webcrypto.subtle.generateKey(signingAlgorithm, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const made = await x509.X509CertificateGenerator.createSelfSigned({ name, serialNumber, keys, signingAlgorithm });
  return Buffer.from(made.rawData);
}

const byNode = (der: Buffer): Buffer => new X509Certificate(der).publicKey.export({ type: "spki", format: "der" });

for (const algorithm of Object.keys(ALGORITHMS) as (keyof typeof ALGORITHMS)[]) {
  test(`finds the ${algorithm} key that node:crypto finds, whatever stands before it`, async () => {
    for (const [name, serial] of [
      ["CN=a", "01"],
      [`CN=${"long ".repeat(60)}, O=${"longer ".repeat(100)}`, `7f${"ab".repeat(19)}`],
    ] as const) {
      const der = await certificate(algorithm, name, serial);
      expect(Buffer.from(subjectPublicKeyInfo(der)).equals(byNode(der))).toBe(true);
    }
  });
}

test("finds the key of a certificate without a version field", async () => {
  const der = await certificate("P-256", "CN=a");
  const version = der.indexOf(Buffer.from("a003020102", "hex"));
  expect(version).toBeGreaterThan(0);
  const without = Buffer.concat([der.subarray(0, version), der.subarray(version + 5)]);
  // Two headers of four bytes; both lengths shrink by what was cut out.
  without.writeUInt16BE(der.readUInt16BE(2) - 5, 2);
  without.writeUInt16BE(der.readUInt16BE(6) - 5, 6);
  expect(Buffer.from(subjectPublicKeyInfo(without)).equals(byNode(der))).toBe(true);
});

test("a cut certificate and any other bytes are refused, never read past their end", async () => {
  const der = await certificate("P-256", "CN=a");
  for (let bytes = 0; bytes < der.length; bytes += 1) {
    expect(() => subjectPublicKeyInfo(der.subarray(0, bytes))).toThrow(RangeError);
  }
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }), (changes) => {
      const changed = Buffer.from(der);
      for (const [at, byte] of changes) changed[at] = byte;
      try {
        expect(subjectPublicKeyInfo(changed).length).toBeLessThanOrEqual(der.length);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
    { numRuns: 2000 },
  );
});
