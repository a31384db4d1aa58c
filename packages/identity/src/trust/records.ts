/** What a gateway's store tells the trust index, as plain data. The store is the truth; the index is how it is asked in a handshake. */

/** One certificate a device may show. */
export interface EnrolledCertificate {
  /** 32 lower-case hexadecimal digits. */
  readonly serial: string;
  /** 32 bytes. */
  readonly spkiSha256: Uint8Array;
}

/** A device as stored. */
export type DeviceTrust =
  | {
      readonly kind: "enrolled";
      readonly deviceId: string;
      /** In the order of issue: the last is the newest. Older ones stay until a newer one was used. */
      readonly certificates: readonly EnrolledCertificate[];
      /** Set aside until an operator has decided; refused, and neither revoked nor forgotten. */
      readonly frozen?: boolean;
    }
  | { readonly kind: "revoked"; readonly deviceId: string };

/** Everything the store knows of trust, read in one transaction. */
export interface TrustSnapshot {
  /** Counts revocations; never goes back. */
  readonly revocationEpoch: number;
  readonly devices: readonly DeviceTrust[];
  /** Set where the store was restored: of a device whose key it knows, certificates that became valid before this are taken too, Unix milliseconds. The store may have forgotten them. */
  readonly adoptBefore?: number;
}

/**
 * How the index knows that it is not behind the store. `in-process`: whoever writes the store tells this index in the same
 * process. `confirmed`: others write the store too; {@link TrustIndex.confirm} must be called at least every `maxAgeMs`, and
 * everyone is refused when it was not.
 */
export type Freshness = { readonly kind: "in-process" } | { readonly kind: "confirmed"; readonly maxAgeMs: number };

/** A gateway that lost its store refuses new handshakes after this long. DESIGN section 8. */
export const DEFAULT_MAX_AGE_MS = 10_000;
