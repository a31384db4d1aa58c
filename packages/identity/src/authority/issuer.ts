import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SIGNING_ALGORITHM,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "../keys/x509.ts";
import type { KeyPair } from "../keys/key-pair.ts";
import { randomSerial } from "../keys/requests.ts";
import { meshUri } from "../roots/named-mesh.ts";
import { BACKDATE_MS } from "./profile.ts";

const YEAR_MS = 365 * 86_400_000;
/** Life of a mesh root. */
const ROOT_LIFE_MS = 20 * YEAR_MS;
/** Life of an issuing intermediate. */
const ISSUING_LIFE_MS = 10 * YEAR_MS;

/** A CA certificate and the key that signs for it. */
export interface Issuer {
  readonly certificate: X509Certificate;
  readonly keyPair: KeyPair;
}

/** Which mesh a root that is not its first belongs to, and how many came before it. */
export interface LaterRoot {
  readonly meshId: string;
  readonly version: number;
}

/**
 * The root of a mesh: self-signed, allows one CA below. The mesh's name is its common name.
 * @param now Unix milliseconds
 * @param later for one that follows another: it names the mesh, whose id does not follow from its key, and has a name of its own, so that no chain is tried with the wrong one
 */
export async function createRoot(keyPair: KeyPair, meshName: string, now: number, later?: LaterRoot): Promise<Issuer> {
  const names = later && [new SubjectAlternativeNameExtension([{ type: "url", value: meshUri(later.meshId) }], false)];
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: later === undefined ? distinguishedName(meshName) : distinguishedName(meshName, `root ${later.version}`),
    ...validity(now, ROOT_LIFE_MS),
    keys: keyPair.keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [...(await caExtensions(keyPair, 1)), ...(names ?? [])],
  });
  return { certificate, keyPair };
}

/** An issuing intermediate below `root`: allows no CA below. @param now Unix milliseconds */
export async function createIssuing(root: Issuer, keyPair: KeyPair, meshName: string, now: number): Promise<Issuer> {
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: distinguishedName(`${meshName} issuing CA`),
    issuer: root.certificate.subjectName,
    // Nothing outlives what it hangs from.
    ...validity(now, Math.min(ISSUING_LIFE_MS, root.certificate.notAfter.getTime() - now)),
    publicKey: keyPair.keys.publicKey,
    signingKey: root.keyPair.keys.privateKey,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      ...(await caExtensions(keyPair, 0)),
      await AuthorityKeyIdentifierExtension.create(root.keyPair.keys.publicKey),
    ],
  });
  return { certificate, keyPair };
}

/** A name of typed attributes: the library parses plain text, and a mesh may be called `a, CN="b"`. */
export function distinguishedName(commonName: string, unit?: string): Name {
  return new Name([
    { CN: [{ utf8String: commonName }] },
    ...(unit === undefined ? [] : [{ OU: [{ utf8String: unit }] }]),
    { O: [{ utf8String: "Quaymesh" }] },
  ]);
}

async function caExtensions(keyPair: KeyPair, pathLength: number): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(true, pathLength, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(keyPair.keys.publicKey),
  ];
}

function validity(now: number, lifeMs: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + lifeMs) };
}
