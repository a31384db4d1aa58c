import type { PeerIdentity, RefusalReason } from "@quaymesh/protocol";
import { timingSafeEqualBytes } from "../bytes.ts";
import { IdentityError } from "../errors.ts";
import { dateFault } from "./path.ts";
import { ReadCache } from "./read-cache.ts";
import { type DeviceLeaf, readDeviceLeaf } from "./read-leaf.ts";
import type { EnrolledCertificate, Freshness, TrustSnapshot } from "./records.ts";

/** The index's answer. It fits the transport's `Verdict`, and says more. */
export type TrustVerdict =
  | {
      readonly kind: "accept";
      readonly deviceId: string;
      readonly serial: string;
      readonly spkiSha256: Uint8Array;
      /** It is not enrolled, and taken since the store was restored: see {@link TrustSnapshot.adoptBefore}. */
      readonly adopted?: boolean;
    }
  | {
      readonly kind: "refuse";
      readonly reason: RefusalReason;
      /** Why, for the log; the peer is told the reason alone. */
      readonly detail: string;
      /** Whom the certificate names, where it could be read. */
      readonly deviceId?: string;
    };

/** Leaves that are remembered, about 500 bytes each. */
const MAX_LEAVES = 16_384;

/** Options of {@link TrustIndex}. */
export interface TrustIndexOptions {
  readonly meshId: string;
  /** Unix milliseconds. */
  readonly now: () => number;
  readonly freshness?: Freshness;
}

/**
 * Who may connect, in memory and synchronous. Enrolment is positive: what is not known is refused, so a lost record admits nobody. A
 * certificate is known by device, key and serial together, never by its own hash: an ECDSA signature can be rewritten by
 * anyone without becoming invalid, and a hash with it.
 */
export class TrustIndex {
  readonly #meshId: string;
  readonly #now: () => number;
  readonly #freshness: Freshness;
  readonly #enrolled = new Map<string, readonly EnrolledCertificate[]>();
  /** Never shrinks: removing a record must not un-revoke. */
  readonly #revoked = new Set<string>();
  readonly #frozen = new Set<string>();
  readonly #leaves = new ReadCache(readDeviceLeaf, MAX_LEAVES);
  #revocationEpoch = 0;
  #adoptBefore = Number.NEGATIVE_INFINITY;
  #confirmedAt: number | undefined;

  constructor(options: TrustIndexOptions) {
    this.#meshId = options.meshId;
    this.#now = options.now;
    this.#freshness = options.freshness ?? { kind: "in-process" };
  }

  /** How many revocations are in effect here. */
  get revocationEpoch(): number {
    return this.#revocationEpoch;
  }

  /** How many devices are enrolled. */
  get size(): number {
    return this.#enrolled.size;
  }

  /**
   * Take over what the store holds, and count it as confirmed. What was revoked here stays revoked, whatever the snapshot says.
   * @throws {IdentityError} `VALUE_INVALID` when the snapshot's epoch is older than what was seen; nothing is taken over
   */
  load(snapshot: TrustSnapshot): void {
    this.#advance(snapshot.revocationEpoch);
    this.#adoptBefore = snapshot.adoptBefore ?? Number.NEGATIVE_INFINITY;
    this.#enrolled.clear();
    this.#frozen.clear();
    for (const device of snapshot.devices) {
      if (device.kind === "revoked") this.#revoked.add(device.deviceId);
      else if (!this.#revoked.has(device.deviceId)) {
        this.#enrolled.set(device.deviceId, [...device.certificates]);
        if (device.frozen === true) this.#frozen.add(device.deviceId);
      }
    }
    for (const deviceId of this.#revoked) this.#enrolled.delete(deviceId);
    this.confirm();
  }

  /** The store was asked and has nothing newer. */
  confirm(): void {
    this.#confirmedAt = this.#now();
  }

  /**
   * A certificate was committed for a device, new or known. Those it had stay valid until this one is used.
   * @throws {IdentityError} `DEVICE_REVOKED`
   */
  enrol(deviceId: string, certificate: EnrolledCertificate): void {
    if (this.#revoked.has(deviceId)) throw new IdentityError("DEVICE_REVOKED", `device ${deviceId} is revoked`);
    const others = (this.#enrolled.get(deviceId) ?? []).filter(({ serial }) => serial !== certificate.serial);
    this.#enrolled.set(deviceId, [...others, certificate]);
  }

  /**
   * A certificate was used in a session: the older ones of that device are done with.
   * @returns their serials, to be forgotten by the store too
   */
  markUsed(deviceId: string, serial: string): string[] {
    const certificates = this.#enrolled.get(deviceId) ?? [];
    const at = certificates.findIndex((certificate) => certificate.serial === serial);
    if (at <= 0) return [];
    this.#enrolled.set(deviceId, certificates.slice(at));
    return certificates.slice(0, at).map((certificate) => certificate.serial);
  }

  /**
   * A revocation was committed. From this call on the device is refused.
   * @param revocationEpoch as committed
   * @throws {IdentityError} `VALUE_INVALID` when the epoch goes back; the device is revoked all the same
   */
  revoke(deviceId: string, revocationEpoch: number): void {
    this.#revoked.add(deviceId);
    this.#enrolled.delete(deviceId);
    this.#advance(revocationEpoch);
  }

  /** A freeze was committed. From this call on the device is refused, until {@link TrustIndex.unfreeze}. */
  freeze(deviceId: string): void {
    this.#frozen.add(deviceId);
  }

  /** An operator has decided that the device may come back. A revoked one may not. */
  unfreeze(deviceId: string): void {
    this.#frozen.delete(deviceId);
  }

  /** A record was removed. A revoked device stays revoked. */
  remove(deviceId: string): void {
    this.#enrolled.delete(deviceId);
  }

  /** Where a device stands. */
  statusOf(deviceId: string): "enrolled" | "revoked" | "unknown" {
    if (this.#revoked.has(deviceId)) return "revoked";
    return this.#enrolled.has(deviceId) ? "enrolled" : "unknown";
  }

  /** The device a key is enrolled for, if any; for re-pairing and late renewal. Linear in the number of devices. */
  deviceOfKey(spkiSha256: Uint8Array): string | undefined {
    for (const [deviceId, certificates] of this.#enrolled) {
      if (certificates.some((known) => timingSafeEqualBytes(known.spkiSha256, spkiSha256))) return deviceId;
    }
    return undefined;
  }

  /** Judge a peer whose path TLS has verified. Bound, so that it can be handed to a transport as it is. */
  readonly authorize = (peer: PeerIdentity): TrustVerdict => {
    const der = peer.chain[0];
    if (der === undefined) return { kind: "refuse", reason: "unknown", detail: "no certificate was shown" };
    const leaf = this.#leaves.read(der);
    if (typeof leaf === "string") return { kind: "refuse", reason: "denied", detail: leaf };
    if (!timingSafeEqualBytes(leaf.spkiSha256, peer.spkiSha256)) {
      return { kind: "refuse", reason: "denied", detail: "the transport and the certificate name different keys" };
    }
    return this.#judge(leaf);
  };

  #judge(leaf: DeviceLeaf): TrustVerdict {
    const { deviceId, serial, spkiSha256 } = leaf;
    const refuse = (reason: RefusalReason, detail: string): TrustVerdict => ({
      kind: "refuse",
      reason,
      detail,
      deviceId,
    });
    const now = this.#now();
    if (leaf.meshId !== this.#meshId) return refuse("unknown", `the certificate is of mesh ${leaf.meshId}`);
    if (this.#revoked.has(deviceId)) return refuse("revoked", "the device is revoked");
    if (this.#frozen.has(deviceId)) return refuse("frozen", "the device is frozen until an operator has decided");
    if (!this.#isFresh(now)) return refuse("denied", "the trust index is out of touch with the store");
    const skew = dateFault(leaf, now);
    if (skew !== undefined) return refuse("expired", skew);
    const certificates = this.#enrolled.get(deviceId) ?? [];
    const known = certificates.find((certificate) => certificate.serial === serial);
    if (known === undefined && leaf.notBefore < this.#adoptBefore) {
      const isOfItsKey = certificates.some((other) => timingSafeEqualBytes(other.spkiSha256, spkiSha256));
      if (isOfItsKey) return { kind: "accept", deviceId, serial, spkiSha256, adopted: true };
    }
    if (known === undefined) return refuse("unknown", "the certificate is not enrolled");
    if (!timingSafeEqualBytes(known.spkiSha256, spkiSha256))
      return refuse("unknown", "the key is not the enrolled one");
    return { kind: "accept", deviceId, serial, spkiSha256 };
  }

  #isFresh(now: number): boolean {
    if (this.#freshness.kind === "in-process") return true;
    // A clock that jumped back says nothing of how old the snapshot is, so it counts as old.
    const age = this.#confirmedAt === undefined ? Number.POSITIVE_INFINITY : now - this.#confirmedAt;
    return age >= 0 && age <= this.#freshness.maxAgeMs;
  }

  #advance(revocationEpoch: number): void {
    if (revocationEpoch < this.#revocationEpoch) {
      throw new IdentityError(
        "VALUE_INVALID",
        `revocation epoch ${revocationEpoch} is older than ${this.#revocationEpoch}, which was seen`,
      );
    }
    this.#revocationEpoch = revocationEpoch;
  }
}
