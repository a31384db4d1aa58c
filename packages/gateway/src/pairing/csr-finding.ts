import { IdentityError, parseCsr, type CsrFinding } from "@quaymesh/identity";
import type { DeskParts } from "./desk-parts.ts";

/** What a certificate request is worth: whether it can be read, and what its key is already. */
export async function findCsr(
  { store, logger }: Pick<DeskParts, "store" | "logger">,
  csr: Uint8Array,
): Promise<CsrFinding> {
  try {
    const { spkiSha256 } = await parseCsr(csr);
    const known = await store.devices.findByKey(Buffer.from(spkiSha256).toString("hex"));
    if (known === undefined) return { kind: "valid", spkiSha256, enrolment: { kind: "none" } };
    if (known.revoked) return { kind: "valid", spkiSha256, enrolment: { kind: "revoked" } };
    const { deviceId, frozenAt } = known;
    return { kind: "valid", spkiSha256, enrolment: { kind: "device", deviceId, frozen: frozenAt !== undefined } };
  } catch (cause) {
    if (cause instanceof IdentityError) return { kind: "invalid", detail: cause.message };
    logger.error({ err: cause }, "a certificate request could not be looked up");
    return { kind: "invalid", detail: "the gateway could not look at the request" };
  }
}
