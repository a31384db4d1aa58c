import type { Authority, TrustIndex } from "@quaymesh/identity";

/**
 * What the core needs of the trust index; `TrustIndex` is one. The core loads it from the store when it opens, and changes it after each commit that changes trust.
 */
export type GatewayTrust = Pick<
  TrustIndex,
  "authorize" | "statusOf" | "load" | "enrol" | "markUsed" | "revoke" | "freeze" | "unfreeze"
>;

/** Who issues renewed certificates; `Authority` does. */
export type CertificateIssuer = Pick<Authority, "issueDeviceLeaf">;
