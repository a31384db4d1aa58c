/** Short request and answer streams a node opens: `certificate.renew` and `health`. */
import { Type, type Static } from "typebox";
import { bytes, message, request, uint } from "./common.ts";

/** Node to gateway, the request frame: a CSR for the same key. */
export const renewRequest = request("certificate.renew", { csr: bytes(1, 2048) });
/** Gateway to node: the new certificate, DER, leaf first, root not included. */
export const renewed = message("renewed", {
  chain: Type.Array(bytes(1, 4096), { minItems: 1, maxItems: 4 }),
  renewAfter: uint(),
  /** The gateway's clock, Unix milliseconds: what a device whose own is wrong compares it with. */
  time: Type.Optional(uint()),
});
/** Node to gateway, the request frame. */
export const healthRequest = request("health", {});
/** Gateway to node. */
export const health = message("health", {
  status: Type.Union([Type.Literal("ok"), Type.Literal("degraded")]),
  time: uint(),
});

/** Opens `certificate.renew`. */
export type RenewRequest = Static<typeof renewRequest>;
/** Opens `health`. */
export type HealthRequest = Static<typeof healthRequest>;
/** The answer to `certificate.renew`. */
export type Renewed = Static<typeof renewed>;
/** The answer to `health`. */
export type Health = Static<typeof health>;
