import type { Authorize, PeerIdentity } from "@quaymesh/protocol";

/** Who a certificate belongs to. */
export interface EnrolledIdentity {
  readonly deviceId: string;
  /** Lower-case hex. */
  readonly serial: string;
}

/** A certificate the index is to accept: device id + SPKI + serial, all three. */
export interface TrustedCertificate extends EnrolledIdentity {
  /** Lower-case hex SHA-256 of the SubjectPublicKeyInfo. */
  readonly spkiSha256: string;
  /** Unix milliseconds. */
  readonly notAfter: number;
}

/**
 * What the gateway core needs of the trust index. In memory and synchronous: it is asked inside the handshake. The core loads it from the store when it opens, and
 * changes it after each commit that changes trust.
 */
export interface GatewayTrust {
  readonly authorize: Authorize;
  /** Whose certificate this is, if it is accepted now. */
  identify(peer: PeerIdentity): EnrolledIdentity | undefined;
  /** Replace everything: positive enrolment, so what is not listed is refused. */
  load(certificates: readonly TrustedCertificate[], revocationEpoch: number): void;
  enroll(certificate: TrustedCertificate): void;
  retire(serial: string): void;
  revoke(deviceId: string, revocationEpoch: number): void;
}

/** Issues a certificate for an enrolled device's key (renewal). The CSR is checked: same key, valid proof. */
export interface CertificateIssuer {
  /** @throws {Error} where the CSR is not acceptable */
  renew(input: {
    readonly deviceId: string;
    /** Lower-case hex: the key must be this one. */
    readonly spkiSha256: string;
    /** DER. */
    readonly csr: Uint8Array;
    readonly now: number;
  }): Promise<IssuedCertificate>;
}

/** A certificate as issued. */
export interface IssuedCertificate {
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Unix milliseconds from which the node should renew. */
  readonly renewAfter: number;
  /** DER, leaf first, root not included. */
  readonly chain: readonly Uint8Array[];
}
