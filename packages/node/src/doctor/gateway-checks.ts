import { X509Certificate } from "node:crypto";
import { certificatesFromPem, describeChain, fingerprint, sha256 } from "@quaymesh/identity";
import { ok, skipped, VERDICTS, wrong, type Check, type CheckResult } from "@quaymesh/protocol";
import { formatAddress } from "../state/address.ts";
import type { NodeDoctorContext } from "./context.ts";
import { dialGateway, type Dialed } from "./dial.ts";

/** Verdicts that are passed before the gateway has shown its certificate. */
const BEFORE_CERTIFICATE: ReadonlySet<string> = new Set(["busy", "wrong-protocol", "draining"]);

/** What answers is the gateway this node was paired with, and its certificate is good by this clock. */
export const pinCheck: Check<NodeDoctorContext> = {
  name: "pin",
  needs: ["udp", "identity"],
  async run(context) {
    const dialed = await dialGateway(context);
    context.dialed = dialed;
    const pin = pinOf(context);
    const root = fingerprint(pin);
    if (dialed.kind === "accepted") return ok(`root ${short(root)}, as paired`, { expectedRoot: root });
    if (dialed.byUs) return refusedByUs(dialed, pin, context);
    const { verdict, error } = dialed.failure;
    if (verdict === "other" || BEFORE_CERTIFICATE.has(verdict)) return skipped(`not shown: ${error.message}`);
    return ok(`root ${short(root)}, as paired`, { expectedRoot: root });
  },
};

/** The gateway lets this device in. */
export const admissionCheck: Check<NodeDoctorContext> = {
  name: "admission",
  needs: ["udp", "identity"],
  run({ dialed, clock }) {
    if (dialed === undefined) throw new TypeError("not dialed");
    const details = { address: formatAddress(dialed.address), at: new Date(clock.now()).toISOString() };
    if (dialed.kind === "accepted") {
      const seen = `let in at ${formatAddress(dialed.address)} after ${dialed.handshakeMs.toFixed(0)} ms`;
      return ok(seen, { ...details, verdict: "accepted", attempt: dialed.attempt ?? null });
    }
    const { verdict, error } = dialed.failure;
    if (dialed.byUs) return skipped("this node refused the gateway");
    const attempt = error.details["attempt"];
    const named =
      attempt === undefined ? "" : `\nThe gateway's log has the same: verdict=${verdict} attempt=${attempt}`;
    return wrong("failed", error.message, {
      code: error.code,
      fix: `${fixOf(error.code, verdict)}${named}`,
      details: { ...details, verdict, attempt: attempt ?? null },
    });
  },
};

function fixOf(code: string, verdict: keyof typeof VERDICTS): string {
  if (code === "CLOCK_SKEW") return "Compare this machine's clock with the dates above and set it, or the gateway's.";
  if (code === "GATEWAY_UNREACHABLE")
    return "UDP gets there, and the handshake does not come through: look at the mtu above.";
  return VERDICTS[verdict].fix;
}

function refusedByUs(
  { failure, shown, address }: Extract<Dialed, { kind: "failed" }>,
  pin: Uint8Array,
  { clock }: NodeDoctorContext,
): CheckResult {
  const { verdict, error } = failure;
  const seen = describeChain(shown?.chain ?? [], { expectedRootSpkiSha256: pin, now: clock.now() });
  const attempt = error.details["attempt"] ?? null;
  const details = { verdict, attempt, address: formatAddress(address), shown: seen.subjects, dates: seen.dates };
  if (verdict === "expired") {
    const dates = seen.dates[0] === undefined ? "" : ` (the gateway's: ${seen.dates[0]})`;
    const fix = "Compare both machines' clocks and set the one that is wrong.";
    return wrong("failed", `${error.message}${dates}`, { code: "CLOCK_SKEW", fix, details });
  }
  const [leaf] = shown?.chain ?? [];
  const name = leaf === undefined ? undefined : new X509Certificate(leaf).subjectAltName?.replace(/^DNS:/u, "");
  const whose = name === undefined ? "nothing that could be read" : `a certificate for ${name}`;
  const expectedRoot = fingerprint(pin);
  // A mesh endpoint does not show its root: what it was issued by is the highest that is seen.
  const issuer = seen.seenRoot ?? "none";
  return wrong(
    "failed",
    `what answers at ${formatAddress(address)} is not this node's gateway: expected root ${short(expectedRoot)}, seen ${whose}, issued by ${short(issuer)}`,
    {
      code: "GATEWAY_PIN_MISMATCH",
      fix: "If the mesh was rebuilt, forget the old one with  quaymesh node leave\nand pair again. If not, someone may be in between: don't go on.",
      details: { ...details, expectedRoot, seenName: name ?? null, seenIssuer: seen.seenRoot ?? null },
    },
  );
}

function pinOf({ identity }: NodeDoctorContext): Uint8Array {
  const [root] = certificatesFromPem(identity?.rootPem ?? "");
  if (root === undefined) throw new TypeError("the pinned root is gone");
  return sha256(new X509Certificate(root).publicKey.export({ type: "spki", format: "der" }));
}

/** `9f:2c:a1:…:e1:00:42`: enough to compare by eye; the details have all of it. */
function short(text: string): string {
  const pairs = text.split(":");
  return pairs.length < 9 ? text : `${pairs.slice(0, 3).join(":")}:…:${pairs.slice(-3).join(":")}`;
}
