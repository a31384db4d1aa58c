import { X509Certificate } from "node:crypto";
import { certificatesFromPem } from "@quaymesh/identity";
import { NodeError } from "../errors.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { LinkFailure } from "./failure.ts";

/**
 * Say what a certificate refused for its dates has to do with the clock. TLS has one alert, `certificate_expired`, for a certificate that has run out and for one that is not valid yet,
 * and either machine's clock may be the wrong one: so the dates and this machine's clock are shown, and pairing again is advised only where the certificate has run out by this clock too.
 * @returns `failure` with a code and a sentence that fit; as it was where it is about something else, or where the certificate cannot be read
 */
export function withClocks(failure: LinkFailure, identity: Pick<NodeIdentity, "chainPem">, now: number): LinkFailure {
  if (failure.verdict !== "expired") return failure;
  const life = lifeOf(identity.chainPem);
  if (life === undefined) return failure;
  const { close, details, cause } = failure.error;
  const [from, until, here] = [life.notBefore, life.notAfter, now].map((at) => new Date(at).toISOString());
  const dates = `this device's certificate is valid from ${from} to ${until}, and this clock says ${here}`;
  const where = details["address"] === undefined ? "" : ` (${details["address"]})`;
  const tell = (code: "CERTIFICATE_EXPIRED" | "CLOCK_SKEW", advice: string): LinkFailure => ({
    verdict: failure.verdict,
    error: new NodeError(code, `${dates}: ${advice}${where}`, {
      ...(cause !== undefined && { cause }),
      ...(close !== undefined && { close }),
      details: { ...details, notBefore: `${from}`, notAfter: `${until}`, clock: `${here}` },
    }),
  });
  if (now < life.notBefore) return tell("CLOCK_SKEW", "this machine's clock is behind");
  // Refused by this machine: it is the gateway's certificate that does not fit this clock, and ours gives the time it should be.
  if (close !== undefined && "byPeer" in close && !close.byPeer) {
    return tell(
      "CLOCK_SKEW",
      "by this clock the gateway's own certificate is not valid; compare both machines' clocks",
    );
  }
  if (now < life.notAfter) {
    return tell(
      "CLOCK_SKEW",
      "by the gateway's clock it is not valid (certificate_expired); compare both machines' clocks",
    );
  }
  return tell("CERTIFICATE_EXPIRED", "pair it again, unless this clock is ahead");
}

function lifeOf(chainPem: string): { readonly notBefore: number; readonly notAfter: number } | undefined {
  try {
    const [leaf] = certificatesFromPem(chainPem);
    if (leaf === undefined) return undefined;
    const { validFromDate, validToDate } = new X509Certificate(leaf);
    return { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() };
  } catch {
    // A certificate that cannot be read is another failure's to tell.
    return undefined;
  }
}
