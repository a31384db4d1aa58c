import type { IssuedDeviceCertificate } from "@quaymesh/identity";
import type { CertificateRow } from "../store/rows.ts";

/** A certificate that was just issued, as it is stored. @param now milliseconds since 1970 */
export function certificateRow(leaf: Omit<IssuedDeviceCertificate, "renewAfter">, now: number): CertificateRow {
  return {
    serial: leaf.serial,
    deviceId: leaf.deviceId,
    spkiSha256: Buffer.from(leaf.spkiSha256).toString("hex"),
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    issuedAt: now,
    state: "active",
    chain: leaf.chain,
  };
}
