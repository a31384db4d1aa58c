/** Refusals in the log, so that an operator without dashboards sees who knocks in vain, and a flood does not fill the disk with saying so. */
import { sourcePrefix } from "@quaymesh/identity";
import {
  VERDICTS,
  verdictOfRefusal,
  type DialVerdict,
  type PeerIdentity,
  type RefusedAttempt,
  type Verdict,
} from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { formatAddress } from "../daemon/addresses.ts";
import type { Logger } from "../logger.ts";
import type { GatewayTrust } from "../trust.ts";

/** Attempts of one device, or one network, that are told of in a minute for the same reason; the rest is counted. */
const REPEATS_PER_WINDOW = 10;
/** The same of everybody whose device is not known: whoever forges addresses has as many as it likes. */
const STRANGERS_PER_WINDOW = 60;
const WINDOW_MS = 60_000;
/** Devices and networks remembered; beyond it the one heard of longest ago is forgotten, and told of anew. */
const MAX_REMEMBERED = 1000;
/** Kept for each verdict, so that a flood of one kind pushes none of another out. */
const RECENT_PER_VERDICT = 16;
/** Between two sums. */
const SUMMARY_MS = 60_000;

type Counts = Readonly<Record<string, number>>;

/** An attempt to connect that was refused, as the log has it. */
export interface Refusal {
  /** Unix milliseconds. */
  readonly at: number;
  /** The word that the node says for the same attempt. */
  readonly verdict: DialVerdict;
  /** What the listener counts it as. */
  readonly reason: string;
  /** host:port; may be forged where TLS was not complete. */
  readonly remote: string;
  /** Names the attempt at the node too. */
  readonly attempt: string | undefined;
  readonly device: string | undefined;
  /** Why, for people. */
  readonly detail: string | undefined;
}

/** A count that begins anew each minute. */
interface Tally {
  since: number;
  times: number;
}

/** Tells of refused attempts in the log, each with the word its node says and the name both have for it, and keeps the latest. */
export class RefusalLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #tallies = new Map<string, Tally>();
  readonly #strangers: Tally = { since: -Infinity, times: 0 };
  readonly #recent = new Map<DialVerdict, Refusal[]>();
  /** The lookup of the handshake that is being refused in this tick. */
  #judged: { readonly device: string | undefined; readonly detail: string } | undefined;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** Wraps the handshake's lookup: it decides as before, and what it says of the device is told with the refusal. */
  authorizing(trust: GatewayTrust): (peer: PeerIdentity) => Verdict {
    return (peer) => {
      const verdict = trust.authorize(peer);
      this.#judged = undefined;
      if (verdict.kind === "accept") return { kind: "accept" };
      this.#judged = { device: verdict.deviceId, detail: verdict.detail };
      return { kind: "refuse", reason: verdict.reason };
    };
  }

  /** A listener's `onRefused`. Cheap where a flood calls it. */
  readonly refused = (refused: RefusedAttempt): void => {
    // The listener tells of it in the tick of its lookup, so what was looked up last is this one's.
    const judged = this.#judged;
    this.#judged = undefined;
    const { reason, remoteAddress, attempt, close } = refused;
    const who = judged?.device ?? sourcePrefix(remoteAddress.host);
    if (!this.#isNews(`${reason} ${who}`, judged?.device === undefined)) return;
    const verdict = verdictOfRefusal(refused);
    const byNode = close !== undefined && "byPeer" in close && close.byPeer;
    const refusal: Refusal = {
      at: this.#clock.now(),
      verdict,
      reason,
      remote: formatAddress(remoteAddress),
      attempt,
      device: judged?.device,
      detail: judged?.detail ?? (byNode ? "the node refused this gateway" : undefined),
    };
    this.#keep(refusal);
    const { at: _, ...fields } = refusal;
    const { code } = VERDICTS[verdict];
    // What came to nothing without a verdict is most often somebody's scan.
    if (verdict === "other") this.#logger.info({ ...fields, code }, "an attempt to connect came to nothing");
    else this.#logger.warn({ ...fields, code }, "an attempt to connect was refused");
  };

  /** The latest, newest first. */
  recent(): readonly Refusal[] {
    return [...this.#recent.values()].flat().toSorted((one, other) => other.at - one.at);
  }

  #keep(refusal: Refusal): void {
    const same = this.#recent.get(refusal.verdict) ?? [];
    same.unshift(refusal);
    same.length = Math.min(same.length, RECENT_PER_VERDICT);
    this.#recent.set(refusal.verdict, same);
  }

  #isNews(key: string, isStranger: boolean): boolean {
    const now = this.#clock.monotonicMs();
    const known = this.#tallies.get(key);
    const tally = known ?? { since: now, times: 0 };
    if (now - tally.since >= WINDOW_MS) Object.assign(tally, { since: now, times: 0 });
    tally.times += 1;
    if (tally.times > REPEATS_PER_WINDOW) return false;
    if (isStranger) {
      if (now - this.#strangers.since >= WINDOW_MS) Object.assign(this.#strangers, { since: now, times: 0 });
      this.#strangers.times += 1;
      if (this.#strangers.times > STRANGERS_PER_WINDOW) return false;
    }
    // Set anew: a Map keeps the order of insertion, so the first is the one heard of longest ago.
    this.#tallies.delete(key);
    this.#tallies.set(key, tally);
    const [oldest] = this.#tallies.keys();
    if (this.#tallies.size > MAX_REMEMBERED && oldest !== undefined) this.#tallies.delete(oldest);
    return true;
  }
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
