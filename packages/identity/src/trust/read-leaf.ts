import { X509Certificate } from "node:crypto";
import { parseDeviceUri } from "../authority/names.ts";
import { EKU_CLIENT_AUTH } from "../authority/profile.ts";
import { sha256 } from "../keys/key-pair.ts";

/** What a device's certificate says. */
export interface DeviceLeaf {
  readonly meshId: string;
  readonly deviceId: string;
  /** 32 lower-case hexadecimal digits. */
  readonly serial: string;
  readonly spkiSha256: Uint8Array;
  /** Unix milliseconds. */
  readonly notBefore: number;
  /** Unix milliseconds. */
  readonly notAfter: number;
}

/** Longest leaf that is looked at, in bytes. One of ours has about 500. */
const MAX_LEAF_BYTES = 4096;

/**
 * Read a leaf by the device profile, at once and with OpenSSL: about 50 µs. It does not verify the path; that happened inside TLS.
 * @returns a sentence instead, when the certificate is not readable or not a device's
 */
export function readDeviceLeaf(der: Uint8Array): DeviceLeaf | string {
  if (der.length > MAX_LEAF_BYTES) return "the certificate is too long";
  let leaf: X509Certificate;
  let spki: Uint8Array;
  let notBefore: number;
  let notAfter: number;
  try {
    leaf = new X509Certificate(der);
    spki = leaf.publicKey.export({ type: "spki", format: "der" });
    notBefore = leaf.validFromDate.getTime();
    notAfter = leaf.validToDate.getTime();
  } catch {
    return "the certificate is not readable";
  }
  // Comparisons with NaN are false, so such a certificate would be neither too young nor too old.
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter)) return "the certificate's dates are not readable";
  if (leaf.ca) return "the certificate is a CA's";
  // Node names the extended key usages so.
  const usages = leaf.keyUsage ?? [];
  if (usages.length !== 1 || usages[0] !== EKU_CLIENT_AUTH) return "the certificate is not for clients alone";
  const uri = /^URI:(.*)$/.exec(leaf.subjectAltName ?? "")?.[1];
  const names = uri === undefined ? undefined : parseDeviceUri(uri);
  if (names === undefined) return "the certificate does not name a device";
  return {
    ...names,
    serial: leaf.serialNumber.toLowerCase(),
    spkiSha256: sha256(spki),
    notBefore,
    notAfter,
  };
}
