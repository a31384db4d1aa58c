import type { EnrollInput, EnrollResult } from "../store/port-devices.ts";
import type { ReceiptRow } from "../store/rows.ts";

/** A device as an operator sees it: its row, and what is known of it live. Times in Unix milliseconds. */
export interface DeviceView {
  readonly deviceId: string;
  readonly name: string;
  /** `new`: paired, never seen online. */
  readonly state: "new" | "online" | "offline" | "revoked";
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
}

/** What a revocation would cut. */
interface RevocationPreview {
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
