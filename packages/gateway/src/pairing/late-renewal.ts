/** The shell of late renewal: whose key a request comes with, and the certificate it gets. What may be renewed is judged by identity's machine. */
import { IdentityError, isBelowRoot, parseCsr, type Authority, type RenewalFinding } from "@quaymesh/identity";
import type { Renewed } from "@quaymesh/protocol";
import { certificateRow } from "../devices/certificate-row.ts";
import type { DeviceService } from "../devices/service.ts";
import { GatewayError } from "../errors.ts";
import type { DeviceStore } from "../store/port-devices.ts";
import type { CertificateRow } from "../store/rows.ts";

/** A request with the key its connection has shown. */
export interface LateRequest {
  readonly csr: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly spkiSha256: Uint8Array;
}

/** What issuing stands on. */
export interface LateRenewalParts {
  readonly authority: Pick<Authority, "issueDeviceLeaf" | "rootDer">;
  readonly store: { readonly devices: Pick<DeviceStore, "findByKey" | "certificates"> };
  readonly devices: Pick<DeviceService, "addCertificate">;
}

/** Look the key up, and only for one that is a device's look at the request: strangers cost one indexed read. @throws {GatewayError} `STORE_*` */
export async function findRenewal({ store }: LateRenewalParts, request: LateRequest): Promise<RenewalFinding> {
  const device = await store.devices.findByKey(hex(request.spkiSha256));
  if (device?.revoked === true) return { kind: "revoked" };
  if (device?.frozenAt !== undefined) return { kind: "frozen" };
  if (device?.certificateNotAfter === undefined) return { kind: "unknown" };
  try {
    const { spkiSha256 } = await parseCsr(request.csr);
    return { kind: "device", deviceId: device.deviceId, spkiSha256, notAfter: device.certificateNotAfter };
  } catch (cause) {
    if (cause instanceof IdentityError) return { kind: "invalid", detail: cause.message };
    throw cause;
  }
}

/**
 * The certificate for a request that was granted. A young one of the same key is given again instead of another: whoever lost the answer asks once more, and rows do not pile up.
 * @throws {GatewayError} `DEVICE_REVOKED`, `DEVICE_NOT_FOUND`, `STORE_*`; {IdentityError} where no certificate could be issued
 */
export async function renewLate(
  parts: LateRenewalParts,
  request: LateRequest & { readonly deviceId: string; readonly now: number },
): Promise<Renewed> {
  const { deviceId, csr, spkiSha256, now } = request;
  const known = await parts.store.devices.certificates(deviceId);
  const { rootDer } = parts.authority;
  // One below a root of before would be refused where it is to be used.
  const isGood = (row: CertificateRow): boolean => isYoung(row, now) && isBelowRoot(row.chain[1], rootDer);
  const young = known.findLast((row) => isGood(row) && row.spkiSha256 === hex(spkiSha256));
  if (young !== undefined) {
    return { type: "renewed", chain: [...young.chain], renewAfter: Math.floor(halfLife(young)), time: now };
  }
  const leaf = await parts.authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: spkiSha256, now });
  await parts.devices.addCertificate(certificateRow(leaf, now));
  return { type: "renewed", chain: [...leaf.chain], renewAfter: leaf.renewAfter, time: now };
}

/** Whether a request that failed did so because the device was revoked meanwhile. */
export function isRevoked(cause: unknown): boolean {
  return cause instanceof GatewayError && cause.code === "DEVICE_REVOKED";
}

function isYoung(row: CertificateRow, now: number): boolean {
  return row.state === "active" && row.notBefore <= now && now < halfLife(row);
}

function halfLife({ issuedAt, notAfter }: CertificateRow): number {
  return (issuedAt + notAfter) / 2;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
