import type { TrustSnapshot } from "@quaymesh/identity";
import type { CertificateRow, DeviceRow, ReceiptRow, TaskRow } from "./rows.ts";

/** Devices, their certificates, and revocation. Part of the Store port. */
export interface DeviceStore {
  /** Every device, by name. */
  list(): Promise<readonly DeviceRow[]>;
  /** How many there are, revoked ones too. */
  count(): Promise<number>;
  get(deviceId: string): Promise<DeviceRow | undefined>;
  /** Devices whose id is or begins with `text`, or whose name is `text`; at most 10. */
  find(text: string): Promise<readonly DeviceRow[]>;
  /** The device that has this key, revoked or not: who pairs again. Of revoked devices also one that had it once. */
  findByKey(spkiSha256: string): Promise<DeviceRow | undefined>;
  /** Every device with its active certificates, in the order of issue: what the trust index is loaded from. */
  trustSnapshot(): Promise<TrustSnapshot>;
  certificates(deviceId: string): Promise<readonly CertificateRow[]>;
  /** 0 before the first revocation. */
  revocationEpoch(): Promise<number>;
  receipt(deviceId: string): Promise<ReceiptRow | undefined>;

  /**
   * Create a device, or pair a known one anew, with a certificate, move its pairing request, and take one of its window's places; one transaction.
   * A repeat with the same serial changes nothing and answers the same. A revoked device stays revoked: it comes back as another device, with another key.
   * @throws {GatewayError} `DEVICE_KEY_KNOWN`, `DEVICE_REVOKED`, `DEVICE_FROZEN` where nobody was asked, `REQUEST_NOT_PENDING`, `WINDOW_USED_UP`
   */
  enroll(input: EnrollInput): Promise<EnrollResult>;
  /**
   * Add a certificate to an active device (renewal).
   * @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`
   */
  addCertificate(certificate: CertificateRow): Promise<void>;
  /** A newer certificate has been used: these are done with. */
  retireCertificates(input: { readonly deviceId: string; readonly serials: readonly string[] }): Promise<void>;

  /**
   * Ask for another certificate, until one issued from `now` on is used. @returns the device as it is then
   * @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`
   */
  requestRotation(input: { readonly deviceId: string; readonly now: number }): Promise<DeviceRow>;

  /**
   * Let a frozen device come back: its next hello is taken whatever token it shows, and counts from there.
   * @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `DEVICE_NOT_FROZEN`
   */
  unfreeze(input: { readonly deviceId: string }): Promise<DeviceRow>;

  /**
   * Take the device's trust away: revocation epoch + 1, device and certificates revoked, its leases fenced, and its unfinished tasks moved. The open windows that it came in through are closed: it knows their codes. The receipt is
   * written in the same transaction, with `sessionsClosed` and `closedMs` still 0; {@link finishRevocation} adds them.
   * A device revoked before keeps its receipt: `repeated` is true and nothing changes.
   * @throws {GatewayError} `DEVICE_NOT_FOUND`; `DEVICE_NOT_SELECTED` where `only` does not hold in that transaction
   */
  revoke(input: RevokeInput): Promise<RevokeResult>;
  /** Add to the receipt what was measured after the commit. The end of its sessions is when the device was last seen. */
  finishRevocation(input: FinishRevocationInput): Promise<ReceiptRow>;
  /** Devices that are among these now and not revoked, by name. */
  select(selector: DeviceSelector): Promise<readonly DeviceRow[]>;
  /** What a revocation would touch now. */
  revocationImpact(deviceId: string): Promise<{ readonly runningTasks: number; readonly queuedTasks: number }>;
}

/** A device with its first certificate. */
export interface EnrollInput {
  readonly deviceId: string;
  readonly name: string;
  readonly labels: readonly string[];
  readonly purpose: string;
  readonly platform: string;
  readonly certificate: CertificateRow;
  readonly now: number;
  /** The window it came in through: one of its uses is taken, compare-and-set, in the same transaction; none where this key has taken one and was not seen since. */
  readonly windowId?: string;
  /** Nobody was asked: a frozen device waits for an operator's decision, and this is none. */
  readonly unasked?: boolean;
  /** Compare-and-set on the pairing request, in the same transaction. */
  readonly request?: {
    readonly requestId: string;
    readonly from: string;
    readonly to: string;
    readonly body: string;
  };
}

/** `repaired`: the device existed and has a new certificate now, perhaps of a new key. */
export interface EnrollResult {
  readonly kind: "created" | "repaired" | "repeated";
  readonly device: DeviceRow;
  /** Serials that are no longer good. */
  readonly retired: readonly string[];
}

/** See {@link DeviceStore.revoke}. */
export interface RevokeInput {
  readonly deviceId: string;
  readonly receiptId: string;
  readonly reason: string;
  readonly now: number;
  /** Only where the device is still among these. */
  readonly only?: DeviceSelector;
}

/** See {@link DeviceStore.finishRevocation}. */
export interface FinishRevocationInput {
  readonly receiptId: string;
  readonly sessionsClosed: number;
  /** From the call to the last of them closed, milliseconds. */
  readonly closedMs: number;
  /** Unix milliseconds. */
  readonly now: number;
}

/** Devices by what they are: those with a label, or those whose newest certificate was issued before a moment, Unix milliseconds. */
export type DeviceSelector =
  | { readonly kind: "label"; readonly label: string }
  | { readonly kind: "issued-before"; readonly before: number };

/** See {@link DeviceStore.revoke}. */
export interface RevokeResult {
  readonly receipt: ReceiptRow;
  readonly repeated: boolean;
  /** Tasks whose row changed, as they are now. */
  readonly tasks: readonly TaskRow[];
  /** Offset of the event that records it; undefined where it was recorded before, and where the log could not be written. */
  readonly latest: number | undefined;
}
