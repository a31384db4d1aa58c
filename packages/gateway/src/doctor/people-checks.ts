import { ok, skipped, VERDICTS, wrong, type Check, type DialVerdict } from "@quaymesh/protocol";
import type { RefusedAttemptInfo } from "../client/types-diagnosis.ts";
import type { GatewayDoctorContext } from "./context.ts";

/** What is older has most often been seen to. */
const RECENT_MS = 3_600_000;
const SHOWN = 5;

/** The pairing endpoint's process is well, where somebody needs it. */
export const pairingCheck: Check<GatewayDoctorContext> = {
  name: "pairing",
  needs: ["state"],
  run({ running }) {
    if (running === undefined) return skipped("it is a process of the running gateway");
    const { wanted, pid, faults, lastFault, addresses } = running.diagnosis.pairing;
    const details = { wanted, pid: pid ?? null, faults, lastFault: lastFault ?? null, addresses };
    const fix = "The log says more. If its port is taken, choose another:  gateway run --pairing-listen HOST:PORT";
    if (wanted && pid === undefined) {
      const seen = `its process does not run: ${lastFault ?? "it is being started"}`;
      return wrong("failed", seen, { code: "PAIRING_UNAVAILABLE", fix, details });
    }
    const now = wanted ? `open at ${addresses.join(", ")}, process ${pid}` : "closed; open it with  quaymesh pair";
    if (faults === 0) return ok(now, details);
    const seen = `${now}; its process failed ${faults} times since the start, the last time: ${lastFault ?? "unknown"}`;
    return wrong("warning", seen, { code: "PAIRING_UNAVAILABLE", fix, details });
  },
};

/** Who was refused in the last hour, as what, and what that asks for. */
export const refusalsCheck: Check<GatewayDoctorContext> = {
  name: "refusals",
  needs: ["state"],
  run({ running, clock }) {
    if (running === undefined) return skipped("a gateway that does not run refuses nobody");
    const since = clock.now() - RECENT_MS;
    const recent = running.diagnosis.refused.filter(({ at, verdict }) => (at ?? 0) >= since && verdict !== "other");
    const [latest] = recent;
    if (latest === undefined) return ok("nobody in the last hour");
    const counts = Map.groupBy(recent, ({ verdict }) => verdict);
    const seen = [...counts].map(([verdict, attempts]) => `${verdict} ${attempts.length}`).join(", ");
    const remedies = [...counts.keys()].map(
      (verdict) => `${verdict}: ${isVerdict(verdict) ? VERDICTS[verdict].operator : "see the log"}`,
    );
    const lines = recent.slice(0, SHOWN).map(attemptLine);
    return wrong("warning", `in the last hour: ${seen}`, {
      code: isVerdict(latest.verdict) ? VERDICTS[latest.verdict].code : "GATEWAY_REFUSED",
      fix: [...remedies, ...lines].join("\n"),
      details: { recent: recent.map(attemptJson) },
    });
  },
};

const attemptJson = ({ at, verdict, reason, remote, attempt, device, detail }: RefusedAttemptInfo): object => {
  return { at: new Date(at ?? 0).toISOString(), verdict, reason, remote, attempt, device, detail };
};

const isVerdict = (word: string): word is DialVerdict => Object.hasOwn(VERDICTS, word);

function attemptLine({ at, verdict, remote, device, attempt }: RefusedAttemptInfo): string {
  const time = new Date(at ?? 0).toISOString().slice(11, 19);
  return `${time} ${verdict} from ${remote}${device === undefined ? "" : ` device ${device}`}${attempt === undefined ? "" : ` attempt ${attempt}`}`;
}
