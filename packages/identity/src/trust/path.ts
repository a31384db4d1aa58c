/** The pieces of path validation (RFC 5280 section 6) that a chain of this project's form needs. OpenSSL does the reading and the signatures. */
import { type KeyObject, X509Certificate } from "node:crypto";
import { isDer } from "../keys/der.ts";
import { sha256 } from "../keys/key-pair.ts";
import { BasicConstraintsExtension, X509Certificate as ParsedCertificate } from "../keys/x509.ts";
import { ReadCache } from "./read-cache.ts";

const MAX_CERTIFICATES = 4;
const MAX_CERTIFICATE_BYTES = 4096;

/** Extensions that are understood here: key usage, subject alternative name, basic constraints, extended key usage. */
const UNDERSTOOD: ReadonlySet<string> = new Set(["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.37"]);

/** A certificate of which everything that is asked later was read, so that nothing is found unreadable then. */
export interface PathCertificate {
  readonly x509: X509Certificate;
  readonly der: Uint8Array;
  readonly publicKey: KeyObject;
  readonly spkiSha256: Uint8Array;
  /** Unix milliseconds. */
  readonly notBefore: number;
  /** Unix milliseconds. */
  readonly notAfter: number;
  /** How many CAs it allows below itself, where it says so. */
  readonly pathLength: number | undefined;
  readonly unknownCritical: boolean;
}

/** Chains of a few meshes. A certificate takes some kilobytes, with what OpenSSL keeps of it. */
const REMEMBERED = new ReadCache(readCertificate, 64);

/** Read a chain, leaf first, root last; a sentence instead when it cannot be one. */
export function readChain(chainDer: readonly Uint8Array[]): PathCertificate[] | string {
  if (chainDer.length < 2 || chainDer.length > MAX_CERTIFICATES) {
    return `a chain has 2 to ${MAX_CERTIFICATES} certificates, not ${chainDer.length}`;
  }
  const chain: PathCertificate[] = [];
  for (const der of chainDer) {
    const certificate = REMEMBERED.read(der);
    if (typeof certificate === "string") return certificate;
    chain.push(certificate);
  }
  return chain;
}

/** Read a root on its own; a sentence instead when it cannot be one. */
export function readRoot(der: Uint8Array): PathCertificate | string {
  return REMEMBERED.read(der);
}

/** What is wrong with a root, if anything: its key, its own signature, that it is a CA which allows one below. */
export function rootFault(root: PathCertificate): string | undefined {
  return pathFault([root]) ?? (root.pathLength === 0 ? "it allows no CA below itself" : undefined);
}

/**
 * What is wrong with a path, if anything: signatures, CA flags and path lengths from the leaf up, the root's own signature included. The last
 * certificate is taken as the root; whether it is the right one is the caller's to say.
 */
export function pathFault(chain: readonly PathCertificate[]): string | undefined {
  for (const [depth, certificate] of chain.entries()) {
    const issuer = chain[depth + 1] ?? certificate;
    if (certificate.publicKey.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
      return "a certificate's key is not on P-256";
    }
    if (!issuer.x509.ca) return "a certificate was issued by one that is no CA";
    if (!isSignedBy(certificate, issuer)) return "a certificate is not signed by the next one";
    if (certificate.unknownCritical) return "a certificate has a critical extension that is not understood";
    // Below the CA at `depth` there are `depth - 1` CAs and the leaf.
    if (certificate.pathLength !== undefined && depth - 1 > certificate.pathLength) {
      return "the path is longer than a CA on it allows";
    }
  }
  return undefined;
}

/** A sentence with both clocks when `now` (Unix milliseconds) is outside a certificate's life. */
export function dateFault(
  { notBefore, notAfter }: Pick<PathCertificate, "notBefore" | "notAfter">,
  now: number,
): string | undefined {
  const here = new Date(now).toISOString();
  if (now < notBefore) {
    return `the certificate is valid from ${new Date(notBefore).toISOString()}, and this clock says ${here}`;
  }
  if (now >= notAfter) {
    return `the certificate was valid until ${new Date(notAfter).toISOString()}, and this clock says ${here}`;
  }
  return undefined;
}

function readCertificate(der: Uint8Array): PathCertificate | string {
  if (der.length > MAX_CERTIFICATE_BYTES) return "a certificate is too long";
  if (!isDer(der)) return "a certificate is not in DER";
  try {
    return parse(der);
  } catch {
    return "a certificate is not readable";
  }
}

/** @throws what the readers throw of bytes that are no certificate */
function parse(der: Uint8Array): PathCertificate {
  const x509 = new X509Certificate(der);
  const { publicKey } = x509;
  const parsed = new ParsedCertificate(Uint8Array.from(der));
  const notBefore = x509.validFromDate.getTime();
  const notAfter = x509.validToDate.getTime();
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter)) throw new TypeError("a date is no date");
  return {
    x509,
    der: Uint8Array.from(der),
    publicKey,
    spkiSha256: sha256(publicKey.export({ type: "spki", format: "der" })),
    notBefore,
    notAfter,
    pathLength: parsed.getExtension(BasicConstraintsExtension)?.pathLength,
    unknownCritical: parsed.extensions.some(({ critical, type }) => critical && !UNDERSTOOD.has(type)),
  };
}

function isSignedBy(certificate: PathCertificate, issuer: PathCertificate): boolean {
  try {
    return certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.publicKey);
  } catch {
    return false;
  }
}
