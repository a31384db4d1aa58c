import { X509Certificate } from "node:crypto";
import { certificatesFromPem } from "@quaymesh/identity";
import { ok, VERDICTS, wrong, type Check, type CheckResult } from "@quaymesh/protocol";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { NodeDoctorContext } from "./context.ts";

const DAY_MS = 86_400_000;
/** Renewed from half of its life on; one that has only this left and was not is about to lock its node out. */
const SOON_MS = 3 * DAY_MS;
const NAMES = ["this device's certificate", "the mesh's intermediate", "the mesh's root"] as const;

/** The dates of this device's certificate and of those above it, by this machine's clock, and whether a renewal is due. */
export const certificateCheck: Check<NodeDoctorContext> = {
  name: "certificate",
  needs: ["identity"],
  run({ identity, clock }) {
    if (identity === undefined) throw new TypeError("no identity");
    return judge(identity, clock.now());
  },
};

function judge(identity: NodeIdentity, now: number): CheckResult {
  const chain = [...certificatesFromPem(identity.chainPem), ...certificatesFromPem(identity.rootPem)];
  const lives = chain.map((der, depth) => {
    const { validFromDate, validToDate } = new X509Certificate(der);
    const what = NAMES[depth] ?? "a certificate of its chain";
    return { what, from: validFromDate.getTime(), until: validToDate.getTime() };
  });
  const details = {
    clock: iso(now),
    renewAfter: iso(identity.renewAfter),
    certificates: lives.map(({ what, from, until }) => ({ what, notBefore: iso(from), notAfter: iso(until) })),
  };
  const early = lives.find(({ from }) => now < from);
  if (early !== undefined) {
    const seen = `${early.what} is valid from ${iso(early.from)}, and this clock says ${iso(now)}`;
    return wrong("failed", seen, { code: "CLOCK_SKEW", fix: "This machine's clock is behind: set it.", details });
  }
  const late = lives.find(({ until }) => now >= until);
  if (late !== undefined) {
    const seen = `${late.what} ran out at ${iso(late.until)}, and this clock says ${iso(now)}`;
    return wrong("failed", seen, { code: VERDICTS.expired.code, fix: VERDICTS.expired.fix, details });
  }
  const left = identity.notAfter - now;
  const seen = `good for ${days(left)}, until ${iso(identity.notAfter).slice(0, 10)}`;
  if (left < SOON_MS) {
    const fix = "Keep the node running and connected: it renews by itself over its session.";
    return wrong("warning", `${seen}, and not renewed yet`, { code: VERDICTS.expired.code, fix, details });
  }
  const due = identity.renewAfter - now;
  return ok(`${seen}; ${due > 0 ? `renewed in ${days(due)}` : "due to be renewed in a session"}`, details);
}

const iso = (at: number): string => new Date(at).toISOString();
const days = (ms: number): string =>
  ms < 2 * DAY_MS ? `${Math.round(ms / 3_600_000)} h` : `${Math.floor(ms / DAY_MS)} d`;
