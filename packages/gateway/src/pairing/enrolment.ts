import type { Authority } from "@quaymesh/identity";
import type { PairIssued } from "@quaymesh/protocol";
import { certificateRow } from "../devices/certificate-row.ts";
import type { DeviceService } from "../devices/service.ts";
import type { PairingStore } from "../store/port-pairing.ts";
import { GatewayError } from "../errors.ts";
import { requestBody, type WindowFacts } from "./records.ts";
import type { RequestView } from "./service.ts";

/** What enrolling stands on. */
export interface EnrolmentParts {
  readonly authority: Pick<Authority, "issueDeviceLeaf">;
  readonly devices: Pick<DeviceService, "enroll">;
  readonly store: PairingStore;
  /** Where nodes dial the mesh endpoint, host:port. */
  readonly meshAddresses: () => readonly string[];
  /** Where they find the pairing endpoint when it is open. */
  readonly pairingAddresses: () => readonly string[];
}

/** An approved request. */
export interface Approval {
  readonly view: RequestView;
  readonly facts: WindowFacts;
  readonly deviceId: string;
  readonly csr: Uint8Array;
  readonly spkiSha256: Uint8Array;
  /** By the window, not by an operator who was asked. */
  readonly unasked: boolean;
  readonly now: number;
}

/** A request that became a device. */
export interface Enrolled {
  readonly view: RequestView;
  /** What the node is told; the same for as long as the request lives. */
  readonly issued: PairIssued;
}

/**
 * Issue the certificate and commit device, certificate, request and the window's use in one transaction: a device is enrolled with the certificate it will get, or not at all.
 * @throws {GatewayError} `REQUEST_NOT_PENDING`, `DEVICE_KEY_KNOWN`, `DEVICE_REVOKED`, `DEVICE_FROZEN`, `WINDOW_USED_UP`, `STORE_*`; {IdentityError} where no certificate could be issued
 */
export async function enrol(parts: EnrolmentParts, approval: Approval): Promise<Enrolled> {
  const { view, facts, deviceId, csr, spkiSha256, unasked, now } = approval;
  const { requestId } = view;
  const moved = await parts.store.moveRequest({ requestId, from: ["pending"], to: "approved", now, deviceId });
  if (moved === undefined) throw new GatewayError("REQUEST_NOT_PENDING", `request ${requestId} is already decided`);
  const leaf = await parts.authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: spkiSha256, now });
  const issuedView: RequestView = { ...view, state: "issued", deviceId, certificateNotAfter: leaf.notAfter };
  await parts.devices.enroll({
    deviceId,
    name: view.name,
    labels: facts.labels,
    purpose: facts.purpose,
    platform: view.platform,
    certificate: certificateRow(leaf, now),
    now,
    unasked,
    windowId: view.windowId,
    request: { requestId, from: "approved", to: "issued", body: requestBody(issuedView) },
  });
  return {
    view: issuedView,
    issued: {
      type: "issued",
      chain: [...leaf.chain],
      deviceId,
      renewAfter: leaf.renewAfter,
      addresses: [...parts.meshAddresses()],
      pairing: [...parts.pairingAddresses()],
    },
  };
}
