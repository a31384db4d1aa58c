import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { Credentials } from "@quaymesh/protocol";

x509.cryptoProvider.set(webcrypto);

const KEY = { name: "ECDSA", namedCurve: "P-256" };
const SIGN = { name: "ECDSA", hash: "SHA-256" };
const HOUR_MS = 3_600_000;
/** TLS server authentication, RFC 5280 section 4.2.1.12. */
export const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
/** The name test gateways carry. */
export const SERVER_NAME = "test.quaymesh.internal";

interface Issuer {
  readonly certificate: x509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

/** How a leaf differs from a good one. */
interface LeafOptions {
  readonly usage?: string;
  readonly dnsName?: string;
  /** Hours from now; below 0: before now. */
  readonly notAfterHours?: number;
  /** Leave the intermediate out of the chain. */
  readonly bare?: boolean;
}

/** A root, an intermediate, and what they issue. */
export interface TestAuthority {
  readonly anchorsPem: string;
  issue(name: string, options?: LeafOptions): Promise<Credentials>;
}

const newKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);

const privatePem = async (keys: webcrypto.CryptoKeyPair): Promise<string> =>
  x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");

const times = (notAfterHours = 24): { notBefore: Date; notAfter: Date } => ({
  notBefore: new Date(Date.now() - 48 * HOUR_MS),
  notAfter: new Date(Date.now() + notAfterHours * HOUR_MS),
});

let serial = 0x1000;
const nextSerial = (): string => {
  serial += 1;
  return serial.toString(16);
};

async function makeRoot(name: string): Promise<Issuer> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: nextSerial(),
    name: `CN=${name}`,
    ...times(),
    keys,
    signingAlgorithm: SIGN,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { certificate, keys };
}

async function makeIntermediate(root: Issuer): Promise<Issuer> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: nextSerial(),
    subject: "CN=issuing",
    issuer: root.certificate.subject,
    ...times(),
    publicKey: keys.publicKey,
    signingKey: root.keys.privateKey,
    signingAlgorithm: SIGN,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { certificate, keys };
}

/** Make an authority of its own; two with one name still do not trust each other. */
export async function createAuthority(name = "test root"): Promise<TestAuthority> {
  const root = await makeRoot(name);
  const intermediate = await makeIntermediate(root);
  return {
    anchorsPem: root.certificate.toString("pem"),
    issue: async (subject, options = {}) => {
      const keys = await newKeys();
      const leaf = await x509.X509CertificateGenerator.create({
        serialNumber: nextSerial(),
        subject: `CN=${subject}`,
        issuer: intermediate.certificate.subject,
        ...times(options.notAfterHours),
        publicKey: keys.publicKey,
        signingKey: intermediate.keys.privateKey,
        signingAlgorithm: SIGN,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([options.usage ?? CLIENT_AUTH]),
          new x509.SubjectAlternativeNameExtension([{ type: "dns", value: options.dnsName ?? SERVER_NAME }]),
        ],
      });
      const chain = options.bare === true ? [leaf] : [leaf, intermediate.certificate];
      return {
        keyPem: await privatePem(keys),
        chainPem: chain.map((each) => each.toString("pem")).join("\n"),
      };
    },
  };
}

/** A self-signed credential, as the pairing endpoint sees them. */
export async function selfSigned(name: string): Promise<Credentials> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: nextSerial(),
    name: `CN=${name}`,
    ...times(),
    keys,
    signingAlgorithm: SIGN,
  });
  return { keyPem: await privatePem(keys), chainPem: certificate.toString("pem") };
}
