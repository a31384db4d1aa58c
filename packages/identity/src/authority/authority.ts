import { createPrivateKey, hkdfSync, randomInt } from "node:crypto";
import type { Credentials } from "@quaymesh/protocol";
import { IdentityError } from "../errors.ts";
import { KeyPair, sha256 } from "../keys/key-pair.ts";
import { certificatesToPem } from "../keys/pem.ts";
import type { KeyStore } from "../store/key-store.ts";
import { type CertificateRequest, parseCsr } from "./csr.ts";
import { createIssuing, createRoot, type Issuer } from "./issuer.ts";
import { assertLeaf, buildLeaf, planLeaf } from "./leaf.ts";
import { assertMeshName, meshIdOf } from "./names.ts";
import { type LeafSubject, leafProfile } from "./profile.ts";
import { AUTHORITY_NAME, type AuthorityFile, loadAuthority, ROOT_KEY_NAME, saveAuthority } from "./storage.ts";

/** A leaf as issued. Times are Unix milliseconds. */
export interface IssuedCertificate {
  /** 32 lower-case hexadecimal digits. */
  readonly serial: string;
  readonly spkiSha256: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER: the leaf, then the issuing intermediate. The root is not included. */
  readonly chain: readonly Uint8Array[];
}

/** A device's certificate. */
export interface IssuedDeviceCertificate extends IssuedCertificate {
  readonly deviceId: string;
  /** When the device should renew: half of the life, later by up to a tenth of it so that devices paired together do not renew together. */
  readonly renewAfter: number;
}

/** An endpoint's certificate with its key, which lives in memory only. */
export interface EndpointCertificate extends IssuedCertificate {
  readonly credentials: Credentials;
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
  /** The root certificate, DER. */
  readonly rootDer: Uint8Array;
  /** The root certificate, PEM: the trust anchor of the mesh endpoint and of every node. */
  readonly rootPem: string;
  /** SHA-256 of the root's SubjectPublicKeyInfo: the pin. */
  readonly rootSpkiSha256: Uint8Array;
  readonly #issuing: Issuer;
  readonly #issuingDer: Uint8Array;

  private constructor(file: AuthorityFile) {
    this.rootDer = new Uint8Array(file.root.rawData);
    this.rootPem = certificatesToPem([this.rootDer]);
    this.rootSpkiSha256 = sha256(new Uint8Array(file.root.publicKey.rawData));
    this.meshId = meshIdOf(this.rootSpkiSha256);
    this.meshName = file.root.subjectName.getField("CN")[0] ?? this.meshId;
    this.#issuing = file.issuing;
    this.#issuingDer = new Uint8Array(file.issuing.certificate.rawData);
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
    await saveAuthority(store, root, issuing);
    return new Authority({ root: root.certificate, issuing });
  }

  /**
   * Open the CA in `store`; the root's key is not needed.
   * @throws {IdentityError} `STORE_MISSING`, `STORE_KEY_WRONG`, `STORE_TAMPERED`, `STORE_PERMISSIONS`, `STORE_READ_FAILED`, `CA_INVALID`
   */
  static async open(options: { readonly store: KeyStore }): Promise<Authority> {
    return new Authority(await loadAuthority(options.store));
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
    const key = createPrivateKey(this.#issuing.keyPair.privatePem().reveal()).export({ type: "pkcs8", format: "der" });
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
   * @param options.expectedSpkiSha256 the key that must have asked: of the TLS session when pairing, of the enrolled device when renewing
   * @throws {IdentityError} `PAIR_CSR_INVALID`, `PAIR_KEY_MISMATCH`, `VALUE_INVALID` for a bad device id, `CA_INVALID`, `CLOCK_SKEW`
   */
  async issueDeviceLeaf(options: {
    readonly csr: Uint8Array;
    readonly deviceId: string;
    readonly expectedSpkiSha256: Uint8Array;
    readonly now: number;
  }): Promise<IssuedDeviceCertificate> {
    const request = await parseCsr(options.csr);
    if (Buffer.compare(request.spkiSha256, options.expectedSpkiSha256) !== 0) {
      throw new IdentityError("PAIR_KEY_MISMATCH", "the request is for another key than the one that was shown");
    }
    const issued = await this.#issue({ kind: "device", deviceId: options.deviceId }, request, options.now);
    const half = (issued.notAfter - options.now) / 2;
    const renewAfter = Math.floor(options.now + half + randomInt(Math.max(1, Math.floor(half / 5))));
    return { ...issued, deviceId: options.deviceId, renewAfter };
  }

  async #issueEndpoint(subject: LeafSubject, now: number): Promise<EndpointCertificate> {
    const keyPair = await KeyPair.generate();
    const issued = await this.#issue(subject, keyPair, now);
    const shown = subject.kind === "pairing" ? [...issued.chain, this.rootDer] : issued.chain;
    return { ...issued, credentials: { keyPem: keyPair.privatePem().reveal(), chainPem: certificatesToPem(shown) } };
  }

  async #issue(subject: LeafSubject, request: CertificateRequest, now: number): Promise<IssuedCertificate> {
    const plan = planLeaf(leafProfile(this.meshId, subject), request.spki, this.#issuing, now);
    const certificate = new Uint8Array((await buildLeaf(plan, this.#issuing)).rawData);
    assertLeaf(certificate, plan, this.#issuing);
    const { serial, notBefore, notAfter } = plan;
    return { serial, notBefore, notAfter, spkiSha256: request.spkiSha256, chain: [certificate, this.#issuingDer] };
  }
}
