import { randomBytes } from "node:crypto";
import type { Credentials } from "@quaymesh/protocol";
import { toHex } from "../bytes.ts";
import type { KeyPair } from "./key-pair.ts";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SIGNING_ALGORITHM,
  X509CertificateGenerator,
} from "./x509.ts";

const DAY_MS = 86_400_000;

/**
 * A certificate signing request for `keyPair`, DER. The subject is 16 random bytes: a request is never the same twice, which
 * the pairing words rely on (docs/adr/0004-cpace-and-words.md). The authority ignores it.
 */
export async function createCsr(keyPair: KeyPair): Promise<Uint8Array> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: `CN=${toHex(randomBytes(16))}`,
    keys: keyPair.keys,
    signingAlgorithm: SIGNING_ALGORITHM,
  });
  return new Uint8Array(request.rawData);
}

/**
 * TLS credentials that prove possession of `keyPair` and claim nothing else: what a node shows the pairing endpoint.
 * @param options.now Unix milliseconds; valid from a day before to a day after
 */
export async function selfSignedCredentials(
  keyPair: KeyPair,
  options: { readonly now: number; readonly commonName?: string },
): Promise<Credentials> {
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: `CN=${options.commonName ?? "quaymesh device"}`,
    notBefore: new Date(options.now - DAY_MS),
    notAfter: new Date(options.now + DAY_MS),
    keys: keyPair.keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    ],
  });
  return { keyPem: keyPair.privatePem().reveal(), chainPem: `${certificate.toString("pem")}\n` };
}

/**
 * A certificate serial: 16 random bytes as 32 lower-case hexadecimal digits. The top bits are 01, so that DER, OpenSSL and this
 * package all write the same 32 digits.
 */
export function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return toHex(bytes);
}
