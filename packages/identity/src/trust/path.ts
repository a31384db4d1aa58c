/** The pieces of path validation (RFC 5280 section 6) that a chain of this project's form needs. OpenSSL does the reading and the signatures. */
import { X509Certificate } from "node:crypto";
import { sha256 } from "../keys/key-pair.ts";
import { BasicConstraintsExtension, X509Certificate as ParsedCertificate } from "../keys/x509.ts";

const MAX_CERTIFICATES = 4;
const MAX_CERTIFICATE_BYTES = 4096;

/** Extensions that are understood here: key usage, subject alternative name, basic constraints, extended key usage. */
const UNDERSTOOD: ReadonlySet<string> = new Set(["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.37"]);

/** Read a chain, leaf first, root last; a sentence instead when it cannot be one. */
export function readChain(chainDer: readonly Uint8Array[]): X509Certificate[] | string {
  if (chainDer.length < 2 || chainDer.length > MAX_CERTIFICATES) {
    return `a chain has 2 to ${MAX_CERTIFICATES} certificates, not ${chainDer.length}`;
  }
  if (chainDer.some((der) => der.length > MAX_CERTIFICATE_BYTES)) return "a certificate is too long";
  try {
    return chainDer.map((der) => new X509Certificate(der));
  } catch {
    return "a certificate is not readable";
  }
}

/**
 * What is wrong with a path, if anything. Signatures, CA flags and path lengths from the leaf up, the root's own signature included. The last certificate is taken
 * as the root; whether it is the right one is the caller's to say. */
export function pathFault(chain: readonly X509Certificate[]): string | undefined {
  for (const [depth, certificate] of chain.entries()) {
    const issuer = chain[depth + 1] ?? certificate;
    const { asymmetricKeyDetails } = certificate.publicKey;
    if (asymmetricKeyDetails?.namedCurve !== "prime256v1") return "a certificate's key is not on P-256";
    if (!issuer.ca) return "a certificate was issued by one that is no CA";
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
      return "a certificate is not signed by the next one";
    }
    const { pathLength, unknownCritical } = readExtensions(certificate);
    if (unknownCritical) return "a certificate has a critical extension that is not understood";
    // Below the CA at `depth` there are `depth - 1` CAs and the leaf.
    if (pathLength !== undefined && depth - 1 > pathLength) return "the path is longer than a CA on it allows";
  }
  return undefined;
}

/** A sentence with both clocks when `now` (Unix milliseconds) is outside a certificate's life. */
export function dateFault(certificate: X509Certificate, now: number): string | undefined {
  const { validFromDate, validToDate } = certificate;
  const here = new Date(now).toISOString();
  if (now < validFromDate.getTime()) {
    return `the certificate is valid from ${validFromDate.toISOString()}, and this clock says ${here}`;
  }
  if (now >= validToDate.getTime()) {
    return `the certificate was valid until ${validToDate.toISOString()}, and this clock says ${here}`;
  }
  return undefined;
}

/** SHA-256 of a certificate's SubjectPublicKeyInfo. */
export function spkiHash(certificate: X509Certificate): Uint8Array {
  return sha256(certificate.publicKey.export({ type: "spki", format: "der" }));
}

function readExtensions(certificate: X509Certificate): { pathLength: number | undefined; unknownCritical: boolean } {
  const parsed = new ParsedCertificate(Uint8Array.from(certificate.raw));
  return {
    pathLength: parsed.getExtension(BasicConstraintsExtension)?.pathLength,
    unknownCritical: parsed.extensions.some(({ critical, type }) => critical && !UNDERSTOOD.has(type)),
  };
}
