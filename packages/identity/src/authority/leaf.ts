/** Building a leaf, and validating what was built, as two roles that share only the profile. */
import { X509Certificate as NodeCertificate } from "node:crypto";
import { timingSafeEqualBytes } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SIGNING_ALGORITHM,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "../keys/x509.ts";
import { randomSerial } from "../keys/requests.ts";
import { distinguishedName, type Issuer } from "./issuer.ts";
import { BACKDATE_MS, type LeafProfile } from "./profile.ts";

/** Everything that decides a leaf's bytes but the signature. Times are Unix milliseconds. */
export interface LeafPlan {
  readonly profile: LeafProfile;
  readonly spki: Uint8Array;
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

const AUTHORITY_KEY_ID = "2.5.29.35";
const BASIC_CONSTRAINTS = "2.5.29.19";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const KEY_USAGE = "2.5.29.15";
const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";
const EXPECTED_EXTENSIONS = [
  KEY_USAGE,
  SUBJECT_ALTERNATIVE_NAME,
  BASIC_CONSTRAINTS,
  AUTHORITY_KEY_ID,
  EXTENDED_KEY_USAGE,
].join();

/**
 * Decide a leaf's dates and serial.
 * @throws {IdentityError} `CLOCK_SKEW` when `now` is before the issuing CA was made, `CA_INVALID` when that CA has run out
 */
export function planLeaf(profile: LeafProfile, spki: Uint8Array, issuer: Issuer, now: number): LeafPlan {
  const { notBefore, notAfter } = issuer.certificate;
  if (now < notBefore.getTime() || now >= notAfter.getTime()) {
    throw new IdentityError(
      // A CA is older than what it issues: a clock from before it is the one that is wrong.
      now < notBefore.getTime() ? "CLOCK_SKEW" : "CA_INVALID",
      `the issuing CA is valid from ${notBefore.toISOString()} to ${notAfter.toISOString()}, and this clock says ${new Date(now).toISOString()}`,
    );
  }
  return {
    profile,
    spki,
    serial: randomSerial(),
    notBefore: wholeSeconds(Math.max(now - BACKDATE_MS, notBefore.getTime())),
    notAfter: wholeSeconds(Math.min(now + profile.lifeMs, notAfter.getTime())),
  };
}

/** Build and sign. The result is not to be let out before {@link assertLeaf} has passed it. */
export async function buildLeaf(plan: LeafPlan, issuer: Issuer): Promise<X509Certificate> {
  return await X509CertificateGenerator.create({
    serialNumber: plan.serial,
    subject: distinguishedName(plan.profile.commonName),
    issuer: issuer.certificate.subjectName,
    notBefore: new Date(plan.notBefore),
    notAfter: new Date(plan.notAfter),
    publicKey: Uint8Array.from(plan.spki),
    signingKey: issuer.keyPair.keys.privateKey,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([plan.profile.extendedKeyUsage], false),
      new SubjectAlternativeNameExtension([plan.profile.subjectAlternativeName], false),
      await AuthorityKeyIdentifierExtension.create(issuer.keyPair.keys.publicKey),
    ],
  });
}

/**
 * Read a built leaf back from its bytes and hold it against its plan; the path is checked by OpenSSL, which did not build it.
 * @throws {IdentityError} `CA_INVALID` naming what differs
 */
export function assertLeaf(der: Uint8Array, plan: LeafPlan, issuer: Issuer): void {
  const leaf = new X509Certificate(Uint8Array.from(der));
  const read = new NodeCertificate(der);
  const issuing = new NodeCertificate(new Uint8Array(issuer.certificate.rawData));
  const names = leaf.getExtension(SubjectAlternativeNameExtension)?.names.toJSON();
  const usages = leaf.getExtension(ExtendedKeyUsageExtension)?.usages;
  const checks: Readonly<Record<string, boolean>> = {
    "issuer and signature": read.checkIssued(issuing) && read.verify(issuing.publicKey),
    "serial number": leaf.serialNumber === plan.serial,
    "public key": timingSafeEqualBytes(new Uint8Array(leaf.publicKey.rawData), plan.spki),
    dates: leaf.notBefore.getTime() === plan.notBefore && leaf.notAfter.getTime() === plan.notAfter,
    "basic constraints": leaf.getExtension(BasicConstraintsExtension)?.ca === false && !read.ca,
    "key usage": leaf.getExtension(KeyUsagesExtension)?.usages === KeyUsageFlags.digitalSignature,
    "extended key usage": usages?.length === 1 && usages[0] === plan.profile.extendedKeyUsage,
    "alternative name": JSON.stringify(names) === JSON.stringify([plan.profile.subjectAlternativeName]),
    extensions:
      leaf.extensions
        .map(({ type }) => type)
        .sort()
        .join() === EXPECTED_EXTENSIONS,
  };
  const failed = Object.keys(checks).filter((check) => checks[check] !== true);
  if (failed.length === 0) return;
  throw new IdentityError("CA_INVALID", `a certificate was built wrongly and is withheld: ${failed.join(", ")}`);
}

/** X.509 knows no milliseconds. */
function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
