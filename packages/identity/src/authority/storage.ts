import { X509Certificate as NodeCertificate } from "node:crypto";
import { timingSafeEqualBytes } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { KeyPair, sha256 } from "../keys/key-pair.ts";
import { PemConverter, X509Certificate } from "../keys/x509.ts";
import type { RootStatement } from "../roots/statement.ts";
import { Secret } from "../secret.ts";
import type { KeyStore } from "../store/key-store.ts";
import type { Issuer } from "./issuer.ts";
import { meshIdOf } from "./names.ts";
import { readRotationRecord, writeRotationRecord } from "./rotation-record.ts";

/** Sealed file of the first root's key. */
export const ROOT_KEY_NAME = "root-key";
/**
 * Sealed file of what issuing needs, as PEM blocks: root certificate, issuing certificate, issuing key; the same of the root that is taking over, where one is; and, for a mesh whose root was
 * ever rotated, what its roots have said.
 */
export const AUTHORITY_NAME = "authority";

/** A root and the intermediate that issues below it. */
export interface RootLine {
  /** 0: the mesh's first root; one more with each rotation. */
  readonly version: number;
  readonly root: X509Certificate;
  readonly issuing: Issuer;
}

/** What {@link AUTHORITY_NAME} holds. One file: each change of it is one write, whole or not at all. */
export interface AuthorityFile {
  readonly meshId: string;
  /** The line that endpoints hang from. */
  readonly shown: RootLine;
  /** The other line, while one root takes over from another: newer than `shown` at first, older once endpoints were switched. */
  readonly beside: RootLine | undefined;
  /** What led from the first root to the newest, oldest first. */
  readonly statements: readonly RootStatement[];
}

/** The lines of a CA, oldest first. */
export function linesOf({ shown, beside }: Pick<AuthorityFile, "shown" | "beside">): readonly RootLine[] {
  return beside === undefined ? [shown] : [shown, beside].sort((a, b) => a.version - b.version);
}

/** SHA-256 of a certificate's SubjectPublicKeyInfo. */
export function keyHashOf(certificate: X509Certificate): Uint8Array {
  return sha256(new Uint8Array(certificate.publicKey.rawData));
}

/** Where the key of a root is kept. */
export function rootKeyName(version: number): string {
  return version === 0 ? ROOT_KEY_NAME : `${ROOT_KEY_NAME}-${version}`;
}

/** Seal a CA. @throws {IdentityError} `STORE_WRITE_FAILED` */
export async function saveAuthority(store: KeyStore, file: AuthorityFile): Promise<void> {
  const lines = linesOf(file);
  const blocks = lines.flatMap(({ root, issuing }) => [
    root.toString("pem"),
    issuing.certificate.toString("pem"),
    issuing.keyPair.privatePem().reveal(),
  ]);
  if (file.statements.length > 0) blocks.push(writeRotationRecord(file));
  await store.put(AUTHORITY_NAME, new Secret(`${blocks.join("\n")}\n`));
}

/**
 * Read a CA and check that its parts belong together.
 * @throws {IdentityError} `CA_INVALID`, and what {@link KeyStore.get} throws
 */
export async function loadAuthority(store: KeyStore): Promise<AuthorityFile> {
  const text = await store.getText(AUTHORITY_NAME);
  const blocks = PemConverter.decodeWithHeaders(text.reveal());
  const record = blocks.length % 3 === 1 ? blocks.at(-1) : undefined;
  const parts = await Promise.all([readLine(blocks.slice(0, 3)), readLine(blocks.slice(3, 6))]);
  const [first, second] = parts;
  if (first === undefined) {
    throw new IdentityError("CA_INVALID", "the stored CA does not hold a root, an intermediate and a key");
  }
  if (record === undefined) {
    if (second !== undefined) throw new IdentityError("CA_INVALID", "the stored CA does not say how its roots follow");
    const meshId = meshIdOf(keyHashOf(first.root));
    return { meshId, shown: { version: 0, ...first }, beside: undefined, statements: [] };
  }
  return readRotationRecord(record, second === undefined ? [first] : [first, second]);
}

type Blocks = ReturnType<typeof PemConverter.decodeWithHeaders>;

async function readLine(blocks: Blocks): Promise<Omit<RootLine, "version"> | undefined> {
  const [root, issuing, key] = blocks;
  if (root?.type !== "CERTIFICATE" || issuing?.type !== "CERTIFICATE" || key?.type !== "PRIVATE KEY") return undefined;
  const keyPair = await KeyPair.fromPem(new Secret(PemConverter.encode(key.rawData, "PRIVATE KEY")));
  const line = {
    root: new X509Certificate(root.rawData),
    issuing: { certificate: new X509Certificate(issuing.rawData), keyPair },
  };
  assertBelongTogether(line);
  return line;
}

function assertBelongTogether({ root, issuing }: Omit<RootLine, "version">): void {
  const rootRead = new NodeCertificate(new Uint8Array(root.rawData));
  const issuingRead = new NodeCertificate(new Uint8Array(issuing.certificate.rawData));
  const signed = issuingRead.checkIssued(rootRead) && issuingRead.verify(rootRead.publicKey);
  if (!signed) throw new IdentityError("CA_INVALID", "the stored intermediate is not signed by the stored root");
  if (!timingSafeEqualBytes(new Uint8Array(issuing.certificate.publicKey.rawData), issuing.keyPair.spki)) {
    throw new IdentityError("CA_INVALID", "the stored key is not the stored intermediate's");
  }
}
