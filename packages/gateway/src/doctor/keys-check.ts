import { Authority } from "@quaymesh/identity";
import { ok, wrong, type Check, type CheckResult } from "@quaymesh/protocol";
import type { CertificateLife } from "../daemon/diagnosis.ts";
import { certificateLives } from "../daemon/diagnosis.ts";
import { openKeys } from "../daemon/open-authority.ts";
import { GATEWAY_ERRORS, GatewayError } from "../errors.ts";
import type { GatewayDoctorContext } from "./context.ts";

const DAY_MS = 86_400_000;
/** An authority whose time is up shuts everybody out: worth a month's notice. */
const SOON_MS = 30 * DAY_MS;

/** The mesh's keys can be opened. */
export const keysCheck: Check<GatewayDoctorContext> = {
  name: "keys",
  needs: ["state"],
  async run(context) {
    const { running, layout, sealing } = context;
    if (running !== undefined) return ok(`open; root ${short(running.status.rootFingerprint)}`);
    try {
      const authority = await Authority.open({ store: await openKeys(layout, sealing) });
      context.authority = authority;
      if ((await authority.rootKeyHealth()) === "damaged") {
        const fix =
          "Put authority/ back from a backup. The mesh runs on without it; a rotation, and another intermediate in years, need it or its exported file.";
        return wrong("warning", "open, but the root's key among them is damaged", { code: "ROOT_KEY_DAMAGED", fix });
      }
      return ok(`open with their sealing key; mesh "${authority.meshName}" (${authority.meshId})`);
    } catch (cause) {
      if (cause instanceof GatewayError) {
        return wrong("failed", cause.message, { code: cause.code, fix: GATEWAY_ERRORS[cause.code].hint });
      }
      throw cause;
    }
  },
};

/** The dates of what the gateway shows, and of what it issues with, by this machine's clock. */
export const certificatesCheck: Check<GatewayDoctorContext> = {
  name: "certificates",
  needs: ["keys"],
  async run({ running, authority, clock }) {
    const now = clock.now();
    if (running !== undefined) return judge(running.diagnosis.certificates.flatMap(known), now);
    if (authority === undefined) throw new TypeError("no authority");
    try {
      const { credentials } = await authority.issueGatewayLeaf({ now });
      return judge(certificateLives(credentials.chainPem, authority.rootPem), now);
    } catch (cause) {
      const seen = `no certificate can be issued at ${iso(now)}: ${cause instanceof Error ? cause.message : String(cause)}`;
      const fix =
        "Compare this machine's clock with the dates; if it is right, the authority has run out: see docs/state.md.";
      return wrong("failed", seen, { code: "CA_INVALID", fix });
    }
  },
};

type Life = Omit<CertificateLife, "name"> & { readonly name: string };

const known = (life: {
  readonly name: string;
  readonly notBefore: number | undefined;
  readonly notAfter: number | undefined;
}): readonly Life[] => {
  const { name, notBefore, notAfter } = life;
  return notBefore === undefined || notAfter === undefined ? [] : [{ name, notBefore, notAfter }];
};

function judge(lives: readonly Life[], now: number): CheckResult {
  const details = {
    clock: iso(now),
    certificates: lives.map(({ name, notBefore, notAfter }) => ({
      name,
      notBefore: iso(notBefore),
      notAfter: iso(notAfter),
    })),
  };
  const early = lives.find(({ notBefore }) => now < notBefore);
  if (early !== undefined) {
    const seen = `the ${early.name} is valid from ${iso(early.notBefore)}, and this clock says ${iso(now)}`;
    return wrong("failed", seen, { code: "CLOCK_SKEW", fix: "This machine's clock is behind: set it.", details });
  }
  const late = lives.find(({ notAfter }) => now >= notAfter);
  if (late !== undefined) {
    const seen = `the ${late.name} ran out at ${iso(late.notAfter)}, and this clock says ${iso(now)}`;
    const fix =
      late.name === "leaf"
        ? "Restart the gateway: each start has a new one."
        : "No device can connect any more: see docs/state.md.";
    return wrong("failed", seen, { code: "CA_INVALID", fix, details });
  }
  const seen = lives.map(({ name, notAfter }) => `${name} ${days(notAfter - now)}`).join(", ");
  const [leaf] = lives;
  if (leaf !== undefined && leaf.name === "leaf" && now > (leaf.notBefore + leaf.notAfter) / 2 + DAY_MS) {
    const fix = "It is replaced at half of its life; the log says why it was not. A restart gives another.";
    return wrong("warning", `the leaf was not renewed: ${seen} left`, { code: "CA_INVALID", fix, details });
  }
  if (lives.some(({ name, notAfter }) => name !== "leaf" && notAfter - now < SOON_MS)) {
    const fix = "The authority's own certificates do not renew themselves: see docs/state.md.";
    return wrong("warning", `${seen} left`, { code: "CA_INVALID", fix, details });
  }
  return ok(`${seen} left`, details);
}

const iso = (at: number): string => new Date(at).toISOString();
const days = (ms: number): string => `${Math.floor(ms / DAY_MS)} d`;
const short = (hex: string): string => `${hex.slice(0, 6)}…${hex.slice(-6)}`;
