import { createPrivateKey, hkdfSync, randomInt } from "node:crypto";
import { toHex } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { KeyPair } from "../keys/key-pair.ts";
import { certificatesToPem } from "../keys/pem.ts";
import {
  moveStatementBytes,
  type MoveStatement,
  type RootStatement,
  signBytes,
  type UnsignedMove,
} from "../roots/statement.ts";
import type { Secret } from "../secret.ts";
import type { KeyStore } from "../store/key-store.ts";
import { type CertificateRequest, parseCsr } from "./csr.ts";
import type { EndpointCertificate, IssuedCertificate, IssuedDeviceCertificate, LineFacts } from "./issued.ts";
import { createIssuing, createRoot, type Issuer } from "./issuer.ts";
import { assertLeaf, buildLeaf, planLeaf } from "./leaf.ts";
import { assertMeshName, meshIdOf } from "./names.ts";
import { type LeafSubject, leafProfile } from "./profile.ts";
import { sealRootKey } from "./root-key-file.ts";
import {
  factsOf,
  finishRotation,
  forgetOldKeys,
  newestLine,
  openAuthorityFile,
  renewIssuing,
  rootKeyHealth,
  rootKeyOf,
  startRotation,
  switchRotation,
} from "./root-life.ts";
import {
  AUTHORITY_NAME,
  type AuthorityFile,
  keyHashOf,
  linesOf,
  ROOT_KEY_NAME,
  rootKeyName,
  saveAuthority,
} from "./storage.ts";

/** What a step that needs the root's key takes. */
export interface RootKeyOptions {
  /** Unix milliseconds. */
  readonly now: number;
  /** The root's key, where it is not on this gateway. */
  readonly rootKey?: KeyPair;
}

/**
 * The certificate authority of one mesh: a root, whose key may be taken offline, and an issuing intermediate.
 * It holds no handle, so there is nothing to close.
 */
export class Authority {
  /** 16 characters of lower-case base32, derived from the root. */
  readonly meshId: string;
  /** What people call the mesh. */
  readonly meshName: string;
  readonly #store: KeyStore;
  #file: AuthorityFile;
  /** Changes go one after the other. */
  #changing: Promise<void> = Promise.resolve();

  private constructor(store: KeyStore, file: AuthorityFile) {
    this.#store = store;
    this.#file = file;
    this.meshId = file.meshId;
    this.meshName = file.shown.root.subjectName.getField("CN")[0] ?? this.meshId;
  }

  /** The root certificate that endpoints hang from, DER. */
  get rootDer(): Uint8Array {
    return new Uint8Array(this.#file.shown.root.rawData);
  }

  /** The same, PEM. */
  get rootPem(): string {
    return certificatesToPem([this.rootDer]);
  }

  /** SHA-256 of the SubjectPublicKeyInfo of the root that endpoints hang from: the pin. */
  get rootSpkiSha256(): Uint8Array {
    return keyHashOf(this.#file.shown.root);
  }

  /** Every root that is trusted, PEM: the trust anchors of the mesh endpoint. Two while one takes over from the other. */
  get anchorsPem(): string {
    return certificatesToPem(linesOf(this.#file).map(({ root }) => new Uint8Array(root.rawData)));
  }

  /** How one root led to the next, oldest first: what a node that trusts an older one follows. */
  get rootStatements(): readonly RootStatement[] {
    return this.#file.statements;
  }

  /** The roots of this mesh and how far a rotation is. No I/O. */
  get lines(): readonly LineFacts[] {
    return linesOf(this.#file).map((line) => factsOf(line, line === this.#file.shown));
  }

  /**
   * Make the CA of a new mesh and seal its keys in `store`. A crash leaves either nothing that {@link Authority.open} would open, or all of it.
   * @param options.now Unix milliseconds
   * @throws {IdentityError} `STORE_EXISTS` when the store holds a CA, `VALUE_INVALID` for a bad name, `STORE_*`
   */
  static async create(options: {
    readonly store: KeyStore;
    readonly meshName: string;
    readonly now: number;
  }): Promise<Authority> {
    const { store, meshName, now } = options;
    assertMeshName(meshName);
    if (await Authority.exists(store)) throw new IdentityError("STORE_EXISTS", `${store.directory} holds a CA already`);
    const root = await createRoot(await KeyPair.generate(), meshName, now);
    const issuing = await createIssuing(root, await KeyPair.generate(), meshName, now);
    const shown = { version: 0, root: root.certificate, issuing };
    const file: AuthorityFile = {
      meshId: meshIdOf(keyHashOf(root.certificate)),
      shown,
      beside: undefined,
      statements: [],
    };
    // The file that makes it a CA is written last.
    await store.put(ROOT_KEY_NAME, root.keyPair.privatePem());
    await saveAuthority(store, file);
    return new Authority(store, file);
  }

  /**
   * Open the CA in `store`; the root's key is not needed.
   * @throws {IdentityError} `STORE_MISSING`, `STORE_KEY_WRONG`, `STORE_TAMPERED`, `STORE_PERMISSIONS`, `STORE_READ_FAILED`, `CA_INVALID`
   */
  static async open(options: { readonly store: KeyStore }): Promise<Authority> {
    return new Authority(options.store, await openAuthorityFile(options.store));
  }

  /** Whether `store` holds a CA. */
  static async exists(store: KeyStore): Promise<boolean> {
    return await store.has(AUTHORITY_NAME);
  }

  /** Where in the store the root's key is: it can be moved away, and back to sign another intermediate. */
  static readonly rootKeyName: string = ROOT_KEY_NAME;

  /**
   * 32 bytes that follow from the issuing key and `purpose`: the same for every start of this gateway, and of no use for anything else.
   */
  deriveSecret(purpose: string): Uint8Array {
    const key = createPrivateKey(this.#file.shown.issuing.keyPair.privatePem().reveal()).export({
      type: "pkcs8",
      format: "der",
    });
    return new Uint8Array(hkdfSync("sha256", key, "", `quaymesh ${purpose}`, 32));
  }

  /** The mesh endpoint's certificate, with a new key. @throws {IdentityError} `CA_INVALID`, `CLOCK_SKEW` */
  async issueGatewayLeaf(options: { readonly now: number }): Promise<EndpointCertificate> {
    return await this.#issueEndpoint({ kind: "gateway" }, options.now);
  }

  /**
   * The pairing endpoint's certificate, with a new key. Its `credentials` carry the root too: a node that has only the root's
   * hash needs the certificate to verify the path. @throws {IdentityError} `CA_INVALID`, `CLOCK_SKEW`
   */
  async issuePairingLeaf(options: { readonly now: number }): Promise<EndpointCertificate> {
    return await this.#issueEndpoint({ kind: "pairing" }, options.now);
  }

  /**
   * A device's certificate for the key of `csr`. Nothing else of the request is used.
   * @param options.newest for a device that trusts the newest root: its certificate hangs from that one, and else from the one that endpoints show
   * @param options.expectedSpkiSha256 the key that must have asked: of the TLS session when pairing, of the enrolled device when renewing
   * @throws {IdentityError} `PAIR_CSR_INVALID`, `PAIR_KEY_MISMATCH`, `VALUE_INVALID` for a bad device id, `CA_INVALID`, `CLOCK_SKEW`
   */
  async issueDeviceLeaf(options: {
    readonly csr: Uint8Array;
    readonly deviceId: string;
    readonly expectedSpkiSha256: Uint8Array;
    readonly newest?: boolean;
    readonly now: number;
  }): Promise<IssuedDeviceCertificate> {
    const request = await parseCsr(options.csr);
    if (Buffer.compare(request.spkiSha256, options.expectedSpkiSha256) !== 0) {
      throw new IdentityError("PAIR_KEY_MISMATCH", "the request is for another key than the one that was shown");
    }
    const { issuing } = options.newest === true ? newestLine(this.#file) : this.#file.shown;
    const issued = await this.#issue({ kind: "device", deviceId: options.deviceId }, request, issuing, options.now);
    const half = (issued.notAfter - options.now) / 2;
    const renewAfter = Math.floor(options.now + half + randomInt(Math.max(1, Math.floor(half / 5))));
    return { ...issued, deviceId: options.deviceId, renewAfter };
  }

  /**
   * The newest root's key, as a file that only `passphrase` opens. Nothing is removed.
   * @throws {IdentityError} `ROOT_KEY_OFFLINE`, `VALUE_INVALID` for a short passphrase, `STORE_*`
   */
  async exportRootKey(passphrase: Secret<string>): Promise<string> {
    const line = newestLine(this.#file);
    const { meshId, meshName } = this;
    const rootFingerprint = toHex(keyHashOf(line.root));
    return await sealRootKey(await rootKeyOf(this.#store, line), { meshId, meshName, rootFingerprint }, passphrase);
  }

  /** Take the newest root's key off this gateway. What needs it asks for it from then on. Idempotent. @throws {IdentityError} `STORE_WRITE_FAILED` */
  async removeRootKey(): Promise<void> {
    await this.#store.delete(rootKeyName(newestLine(this.#file).version));
  }

  /** Whether the newest root's key is on this gateway. @throws {IdentityError} `STORE_READ_FAILED` */
  async hasRootKey(): Promise<boolean> {
    return await this.#store.has(rootKeyName(newestLine(this.#file).version));
  }

  /** See {@link rootKeyHealth}. */
  async rootKeyHealth(): Promise<"here" | "missing" | "damaged"> {
    return await rootKeyHealth(this.#store, newestLine(this.#file));
  }

  /** See {@link renewIssuing}. */
  async renewIssuing(options: RootKeyOptions): Promise<void> {
    await this.#change((file) => renewIssuing(this.#store, file, { meshName: this.meshName, ...options }));
  }

  /** See {@link startRotation}. */
  async startRotation(options: RootKeyOptions & { readonly overlapMs: number }): Promise<void> {
    await this.#change((file) => startRotation(this.#store, file, { meshName: this.meshName, ...options }));
  }

  /** See {@link switchRotation}. */
  async switchRotation(): Promise<void> {
    await this.#change((file) => switchRotation(this.#store, file));
  }

  /** See {@link finishRotation}. */
  async finishRotation(): Promise<void> {
    await this.#change((file) => finishRotation(this.#store, file));
    // The rotation is over, whether this succeeds or the next start has to do it.
    await forgetOldKeys(this.#store, this.#file);
  }

  /** Say where the gateway is from `move.time` on; signed with the intermediate that endpoints hang from. */
  signMove(move: Omit<UnsignedMove, "issuer">): MoveStatement {
    const { certificate, keyPair } = this.#file.shown.issuing;
    const unsigned = { ...move, issuer: new Uint8Array(certificate.rawData) };
    return { ...unsigned, signature: signBytes(moveStatementBytes(this.meshId, unsigned), keyPair) };
  }

  async #change(step: (file: AuthorityFile) => Promise<AuthorityFile>): Promise<void> {
    const change = this.#changing.then(async () => {
      this.#file = await step(this.#file);
    });
    this.#changing = change.catch(() => {});
    await change;
  }

  async #issueEndpoint(subject: LeafSubject, now: number): Promise<EndpointCertificate> {
    const keyPair = await KeyPair.generate();
    const { shown } = this.#file;
    const issued = await this.#issue(subject, keyPair, shown.issuing, now);
    const chain = subject.kind === "pairing" ? [...issued.chain, new Uint8Array(shown.root.rawData)] : issued.chain;
    return { ...issued, credentials: { keyPem: keyPair.privatePem().reveal(), chainPem: certificatesToPem(chain) } };
  }

  async #issue(
    subject: LeafSubject,
    request: CertificateRequest,
    issuer: Issuer,
    now: number,
  ): Promise<IssuedCertificate> {
    const plan = planLeaf(leafProfile(this.meshId, subject), request.spki, issuer, now);
    const certificate = new Uint8Array((await buildLeaf(plan, issuer)).rawData);
    assertLeaf(certificate, plan, issuer);
    const { serial, notBefore, notAfter } = plan;
    const issuingDer = new Uint8Array(issuer.certificate.rawData);
    return { serial, notBefore, notAfter, spkiSha256: request.spkiSha256, chain: [certificate, issuingDer] };
  }
}
