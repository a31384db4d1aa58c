/** What each kind of leaf says. One description serves both who builds a certificate and who validates what was built. */
import { isDeviceId, isMeshId, deviceUri, meshServerName, pairingServerName } from "./names.ts";
import { IdentityError } from "../errors.ts";

/** RFC 5280 section 4.2.1.12. */
export const EKU_SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
/** RFC 5280 section 4.2.1.12. */
export const EKU_CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** How far a certificate's start lies in the past, for clocks that are behind. */
export const BACKDATE_MS = 10 * MINUTE_MS;
/** Life of a device's certificate. */
const DEVICE_LIFE_MS = 30 * DAY_MS;
/** Life of the certificates of the gateway's own endpoints. */
const SERVER_LIFE_MS = 365 * DAY_MS;

/** Whom a leaf is for. */
export type LeafSubject =
  | { readonly kind: "gateway" }
  | { readonly kind: "pairing" }
  | { readonly kind: "device"; readonly deviceId: string };

/** The contents of a leaf, as data. */
export interface LeafProfile {
  readonly commonName: string;
  readonly extendedKeyUsage: string;
  readonly subjectAlternativeName: { readonly type: "dns" | "url"; readonly value: string };
  readonly lifeMs: number;
}

/**
 * The profile of a leaf.
 * @throws {IdentityError} `VALUE_INVALID` for an id of the wrong form
 */
export function leafProfile(meshId: string, subject: LeafSubject): LeafProfile {
  if (!isMeshId(meshId)) throw new IdentityError("VALUE_INVALID", `${JSON.stringify(meshId)} is no mesh id`);
  switch (subject.kind) {
    case "gateway":
      return serverProfile("quaymesh gateway", meshServerName(meshId));
    case "pairing":
      return serverProfile("quaymesh pairing", pairingServerName(meshId));
    case "device":
      if (!isDeviceId(subject.deviceId)) {
        throw new IdentityError("VALUE_INVALID", `${JSON.stringify(subject.deviceId)} is no device id`);
      }
      return {
        commonName: subject.deviceId,
        extendedKeyUsage: EKU_CLIENT_AUTH,
        subjectAlternativeName: { type: "url", value: deviceUri(meshId, subject.deviceId) },
        lifeMs: DEVICE_LIFE_MS,
      };
    default:
      return subject satisfies never;
  }
}

function serverProfile(commonName: string, dnsName: string): LeafProfile {
  return {
    commonName,
    extendedKeyUsage: EKU_SERVER_AUTH,
    subjectAlternativeName: { type: "dns", value: dnsName },
    lifeMs: SERVER_LIFE_MS,
  };
}
