/** Refusals in the log, so that an operator without dashboards sees who knocks in vain, and a flood does not fill the disk with saying so. */
import type { Verdict, PeerIdentity } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import type { GatewayTrust } from "../trust.ts";

/** A device that is refused again within this time for the same reason is counted, not logged. */
const REPEAT_MS = 60_000;
/** Devices remembered; beyond it the one logged longest ago is forgotten, and logged anew. */
const MAX_REMEMBERED = 1000;
/** Between two sums. */
const SUMMARY_MS = 60_000;

type Counts = Readonly<Record<string, number>>;

/** Wraps the handshake's lookup: it decides as before, and devices of the mesh that are refused show in the log. */
export function loggedAuthorize(trust: GatewayTrust, logger: Logger, clock: Clock): (peer: PeerIdentity) => Verdict {
  const loggedAt = new Map<string, number>();
  return (peer) => {
    const verdict = trust.authorize(peer);
    if (verdict.kind === "accept") return { kind: "accept" };
    const { reason, detail, deviceId } = verdict;
    const now = clock.monotonicMs();
    const key = `${reason} ${deviceId ?? ""}`;
    const last = loggedAt.get(key);
    if (last === undefined || now - last >= REPEAT_MS) {
      // Set anew: a Map keeps the order of insertion, so the first is the one logged longest ago.
      loggedAt.delete(key);
      loggedAt.set(key, now);
      const [oldest] = loggedAt.keys();
      if (loggedAt.size > MAX_REMEMBERED && oldest !== undefined) loggedAt.delete(oldest);
      logger.warn({ device: deviceId, reason, detail }, "a device was refused in its handshake");
    }
    return { kind: "refuse", reason };
  };
}

/** What grew between two looks, by reason. */
function grown(before: Counts, now: Counts): Counts {
  const more = Object.entries(now).map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const);
  return Object.fromEntries(more.filter(([, count]) => count > 0));
}

/** Once a minute, where anybody was refused or cut since: how many, by reason. Ends when `signal` aborts. */
export function summarizeRefusals(
  counts: () => { readonly refused: Counts; readonly cut: Counts },
  options: { readonly logger: Logger; readonly clock: Clock; readonly signal: AbortSignal },
): void {
  const { logger, clock, signal } = options;
  let before = counts();
  let cancel: () => void = () => undefined;
  const look = (): void => {
    const now = counts();
    const [refused, cut] = [grown(before.refused, now.refused), grown(before.cut, now.cut)];
    before = now;
    if (Object.keys(refused).length + Object.keys(cut).length > 0) {
      logger.info({ refused, cut, overMs: SUMMARY_MS }, "refused and cut since the last sum");
    }
    cancel = clock.after(SUMMARY_MS, look);
  };
  cancel = clock.after(SUMMARY_MS, look);
  signal.addEventListener("abort", () => cancel(), { once: true });
}
