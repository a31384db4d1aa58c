import { ok, skipped, wrong, type Check } from "@quaymesh/protocol";
import { GATEWAY_ERRORS } from "../errors.ts";
import type { GatewayDoctorContext } from "./context.ts";

const DAY_MS = 86_400_000;

/** What the running gateway knows of its event log: damage, subscriptions that lapsed, and a retention that waits for its clock. */
export const logCheck: Check<GatewayDoctorContext> = {
  name: "log",
  needs: ["state"],
  run({ running }) {
    if (running === undefined) return skipped("only a running gateway looks through its log");
    const { damaged, checkedTo, lapsed, heldBy, maxAgeMs, clockBehindMs } = running.stats.log;
    const details = { damaged, checkedTo, lapsed, heldBy, clockBehindMs };
    if (damaged > 0) {
      const seen = `${damaged} events are not what was stored; they are not served`;
      return wrong("failed", seen, { code: "EVENT_DAMAGED", fix: GATEWAY_ERRORS.EVENT_DAMAGED.hint, details });
    }
    if (lapsed > 0) {
      const seen = `${lapsed} durable subscriptions lapsed since the start: they held more than they may, and miss what has gone`;
      const fix = "Which, and what they have not read:  quaymesh events subscriptions";
      return wrong("warning", seen, { code: "SUBSCRIPTION_LAPSED", fix, details });
    }
    if (maxAgeMs > 0 && clockBehindMs > DAY_MS) {
      const days = Math.round(clockBehindMs / DAY_MS);
      const seen = `the clock has jumped: retention by age is ${days} days behind it, and keeps what is older than it may be`;
      const fix = "If the clock is right, once:  quaymesh gateway run --trust-clock";
      return wrong("warning", seen, { code: "CLOCK_SKEW", fix, details });
    }
    const held = heldBy.length === 0 ? "" : `; ${heldBy.length} durable subscriptions hold it beyond its bounds`;
    return ok(`looked through to offset ${checkedTo}: sound${held}`, details);
  },
};
