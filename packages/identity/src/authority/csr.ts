/** The first role of issuing: a request as bytes in, a public key whose owner asked for it out. */
import { timingSafeEqualBytes } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { isDer } from "../keys/der.ts";
import { sha256 } from "../keys/key-pair.ts";
import { Pkcs10CertificateRequest } from "../keys/x509.ts";

/** Longest request, in bytes. One for P-256 has about 250. */
const MAX_CSR_BYTES = 2048;

/** DER of a P-256 SubjectPublicKeyInfo up to the point: named curve, uncompressed. RFC 5480 section 2. */
const P256_SPKI_PREFIX = Uint8Array.of(
  0x30,
  0x59,
  0x30,
  0x13,
  0x06,
  0x07,
  0x2a,
  0x86,
  0x48,
  0xce,
  0x3d,
  0x02,
  0x01,
  0x06,
  0x08,
  0x2a,
  0x86,
  0x48,
  0xce,
  0x3d,
  0x03,
  0x01,
  0x07,
  0x03,
  0x42,
  0x00,
  0x04,
);
const P256_SPKI_BYTES = P256_SPKI_PREFIX.length + 64;

/** What is kept of a request. Subject, extensions and attributes are not: the authority alone decides what a certificate says. */
export interface CertificateRequest {
  /** SubjectPublicKeyInfo, DER, of a P-256 key. */
  readonly spki: Uint8Array;
  readonly spkiSha256: Uint8Array;
}

/**
 * Parse a PKCS #10 request and verify that its sender holds the key.
 * @throws {IdentityError} `PAIR_CSR_INVALID` for anything but a well-signed request for a P-256 key
 */
export async function parseCsr(der: Uint8Array): Promise<CertificateRequest> {
  if (der.length === 0 || der.length > MAX_CSR_BYTES) {
    throw new IdentityError("PAIR_CSR_INVALID", `a request has 1 to ${MAX_CSR_BYTES} bytes, not ${der.length}`);
  }
  if (!isDer(der)) throw new IdentityError("PAIR_CSR_INVALID", "the request is not in DER");
  let request: Pkcs10CertificateRequest;
  let spki: Uint8Array;
  try {
    request = new Pkcs10CertificateRequest(Uint8Array.from(der));
    spki = new Uint8Array(request.publicKey.rawData);
  } catch (cause) {
    throw new IdentityError("PAIR_CSR_INVALID", "not readable as a PKCS #10 request", { cause });
  }
  if (!isP256Spki(spki)) throw new IdentityError("PAIR_CSR_INVALID", "the key is not an uncompressed P-256 key");
  if (!(await isSigned(request))) {
    throw new IdentityError("PAIR_CSR_INVALID", "the request is not signed by its own key with ECDSA and SHA-256");
  }
  return { spki, spkiSha256: sha256(spki) };
}

/** Whether this is the one encoding of a P-256 key that is accepted. Two encodings of one key would be two identities. */
function isP256Spki(spki: Uint8Array): boolean {
  return (
    spki.length === P256_SPKI_BYTES && timingSafeEqualBytes(spki.subarray(0, P256_SPKI_PREFIX.length), P256_SPKI_PREFIX)
  );
}

async function isSigned(request: Pkcs10CertificateRequest): Promise<boolean> {
  const { name, hash }: { name?: string; hash?: { name?: string } } = request.signatureAlgorithm;
  if (name !== "ECDSA" || hash?.name !== "SHA-256") return false;
  try {
    return await request.verify();
  } catch {
    // A point that is not on the curve, or a signature that is no pair of integers.
    return false;
  }
}
