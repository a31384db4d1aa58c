import { X509Certificate as NodeCertificate } from "node:crypto";
import { timingSafeEqualBytes } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { KeyPair } from "../keys/key-pair.ts";
import { PemConverter, X509Certificate } from "../keys/x509.ts";
import { Secret } from "../secret.ts";
import type { KeyStore } from "../store/key-store.ts";
import type { Issuer } from "./issuer.ts";

/** Sealed file of the root's key. */
export const ROOT_KEY_NAME = "root-key";
/** Sealed file of what issuing needs: root certificate, issuing certificate, issuing key, as PEM blocks in this order. */
export const AUTHORITY_NAME = "authority";

/** What {@link AUTHORITY_NAME} holds. */
export interface AuthorityFile {
  readonly root: X509Certificate;
  readonly issuing: Issuer;
}

/** Seal a new CA. The file that makes it one is written last. @throws {IdentityError} `STORE_WRITE_FAILED` */
export async function saveAuthority(store: KeyStore, root: Issuer, issuing: Issuer): Promise<void> {
  const blocks = [
    root.certificate.toString("pem"),
    issuing.certificate.toString("pem"),
    issuing.keyPair.privatePem().reveal(),
  ];
  await store.put(ROOT_KEY_NAME, root.keyPair.privatePem());
  await store.put(AUTHORITY_NAME, new Secret(`${blocks.join("\n")}\n`));
}

/**
 * Read a CA and check that its parts belong together.
 * @throws {IdentityError} `CA_INVALID`, and what {@link KeyStore.get} throws
 */
export async function loadAuthority(store: KeyStore): Promise<AuthorityFile> {
  const text = await store.getText(AUTHORITY_NAME);
  const blocks = PemConverter.decodeWithHeaders(text.reveal());
  const [root, issuing, key] = blocks;
  if (root?.type !== "CERTIFICATE" || issuing?.type !== "CERTIFICATE" || key?.type !== "PRIVATE KEY") {
    throw new IdentityError("CA_INVALID", "the stored CA does not hold a root, an intermediate and a key");
  }
  const keyPair = await KeyPair.fromPem(new Secret(PemConverter.encode(key.rawData, "PRIVATE KEY")));
  const file = {
    root: new X509Certificate(root.rawData),
    issuing: { certificate: new X509Certificate(issuing.rawData), keyPair },
  };
  assertBelongTogether(file);
  return file;
}

function assertBelongTogether({ root, issuing }: AuthorityFile): void {
  const rootRead = new NodeCertificate(new Uint8Array(root.rawData));
  const issuingRead = new NodeCertificate(new Uint8Array(issuing.certificate.rawData));
  const signed = issuingRead.checkIssued(rootRead) && issuingRead.verify(rootRead.publicKey);
  if (!signed) throw new IdentityError("CA_INVALID", "the stored intermediate is not signed by the stored root");
  if (!timingSafeEqualBytes(new Uint8Array(issuing.certificate.publicKey.rawData), issuing.keyPair.spki)) {
    throw new IdentityError("CA_INVALID", "the stored key is not the stored intermediate's");
  }
}
