import type { Credentials } from "@quaymesh/protocol";

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

/** A root of a mesh, and the intermediate that issues below it. Times are Unix milliseconds. */
export interface LineFacts {
  /** 0: the mesh's first root; one more with each rotation. */
  readonly version: number;
  /** Whether endpoints hang from it. */
  readonly shown: boolean;
  /** DER. */
  readonly rootDer: Uint8Array;
  readonly rootSpkiSha256: Uint8Array;
  readonly rootNotAfter: number;
  readonly issuingNotAfter: number;
}
