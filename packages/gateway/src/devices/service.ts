import type { DeviceSelector, EnrollInput, EnrollResult } from "../store/port-devices.ts";
import type { ReceiptRow } from "../store/rows.ts";
import type { BulkRevocation } from "./bulk-revocation.ts";
import type { RotationResult } from "./rotation.ts";

/** A device as an operator sees it: its row, and what is known of it live. Times in Unix milliseconds. */
export interface DeviceView {
  readonly deviceId: string;
  readonly name: string;
  /** `new`: paired, never seen online. `frozen`: two hold its key, or an old copy of its state was put back; an operator decides. */
  readonly state: "new" | "online" | "offline" | "frozen" | "revoked";
  readonly labels: readonly string[];
  readonly purpose: string;
  readonly platform: string;
  readonly software: string;
  readonly pairedAt: number;
  readonly lastSeenAt: number | undefined;
  readonly certificateNotAfter: number | undefined;
  /** Lower-case hex SHA-256 of the SubjectPublicKeyInfo. */
  readonly keyFingerprint: string;
  readonly capabilities: readonly string[];
  readonly runningTasks: number;
  readonly taskSlots: number;
  readonly sessionEpoch: number;
  /** `host:port`, empty if never seen. */
  readonly remoteAddress: string;
  readonly lastSeq: number;
  readonly revocation: ReceiptRow | undefined;
  /** Another certificate was asked for then, and the device has not used one since. */
  readonly rotationRequestedAt: number | undefined;
}

/** What a revocation would cut. */
export interface RevocationPreview {
  readonly device: DeviceView;
  readonly sessions: number;
  readonly runningTasks: number;
  readonly queuedTasks: number;
}

/** Paired devices. `device` is an id, a unique prefix of one, or a unique name. */
export interface DeviceService {
  list(): Promise<readonly DeviceView[]>;
  /** @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS` */
  get(device: string): Promise<DeviceView>;
  /** The device id that `device` means. @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS` */
  resolve(device: string): Promise<string>;
  previewRevocation(device: string): Promise<RevocationPreview>;
  /** What {@link DeviceService.revokeSelected} would cut, device by device; changes nothing. */
  previewSelected(selector: DeviceSelector): Promise<readonly RevocationPreview[]>;
  /** Cut off every device the selector names; see {@link BulkRevocation}. */
  revokeSelected(selector: DeviceSelector, options?: { readonly reason?: string }): Promise<BulkRevocation>;
  /** Have the device take another certificate now, and wait a moment for it. @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS`, `DEVICE_REVOKED` */
  rotate(device: string): Promise<RotationResult>;
  /** Let a frozen device come back: the first holder of its key that does is the one. @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_AMBIGUOUS`, `DEVICE_REVOKED`, `DEVICE_NOT_FROZEN` */
  unfreeze(device: string): Promise<DeviceView>;
  /** Cut the device off now; a repeat returns the same receipt. */
  revoke(device: string, options?: { readonly reason?: string }): Promise<ReceiptRow>;
  /**
   * Create the device, or pair a known one anew, with its first certificate and its request's new state in one transaction, and then trust it.
   * @throws {GatewayError} `DEVICE_KEY_KNOWN`, `REQUEST_NOT_PENDING`
   */
  enroll(input: EnrollInput): Promise<EnrollResult>;
  /** Add a renewed certificate of an enrolled device, and then trust it. @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_REVOKED` */
  addCertificate(certificate: EnrollInput["certificate"]): Promise<void>;
}
