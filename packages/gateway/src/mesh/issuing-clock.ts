/** Intermediates and roots end: seen to years before, by the gateway where it can, and by its operator where it cannot. */
import { IdentityError, type LineFacts } from "@quaymesh/identity";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";

const DAY_MS = 86_400_000;
/** A gateway's own certificate lives for a year, a device's for a month: what is left of their issuer must be more than that at any time. */
export const RENEW_BEFORE_MS = 2 * 365 * DAY_MS;
/** How often it is looked at, and said again where nobody does anything. */
const LOOK_MS = DAY_MS;

/** What {@link watchIssuing} works with. */
export interface IssuingClockOptions {
  readonly newest: () => LineFacts | undefined;
  /** @throws {IdentityError} `ROOT_KEY_OFFLINE` */
  readonly renew: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Look now and once a day, until `signal` aborts. */
export function watchIssuing(options: IssuingClockOptions): void {
  const { clock, signal } = options;
  let cancel: () => void = () => undefined;
  const look = (): void => {
    void lookOnce(options).finally(() => {
      if (!signal.aborted) cancel = clock.after(LOOK_MS, look);
    });
  };
  signal.addEventListener("abort", () => cancel(), { once: true });
  look();
}

/** Renew an intermediate that is due, or say what an operator has to do. Never rejects. */
export async function lookOnce({ newest, renew, clock, logger }: IssuingClockOptions): Promise<void> {
  const line = newest();
  if (line === undefined) return;
  const now = clock.now();
  const daysLeft = (until: number): number => Math.floor((until - now) / DAY_MS);
  if (line.rootNotAfter - now < RENEW_BEFORE_MS) {
    const facts = { daysLeft: daysLeft(line.rootNotAfter), run: "quaymesh gateway root rotate start" };
    logger.warn(facts, "the mesh's root runs out: rotate it");
  }
  if (line.issuingNotAfter - now >= RENEW_BEFORE_MS || line.issuingNotAfter >= line.rootNotAfter) return;
  try {
    await renew();
    logger.info({ notAfter: newest()?.issuingNotAfter }, "the issuing intermediate was renewed");
  } catch (cause) {
    const facts = { err: cause, daysLeft: daysLeft(line.issuingNotAfter) };
    const run = "quaymesh gateway root renew-issuing --root-key FILE";
    if (cause instanceof IdentityError && cause.code === "ROOT_KEY_OFFLINE") {
      logger.warn(
        { ...facts, run },
        "the issuing intermediate runs out, and the root's key is not here to sign another",
      );
    } else {
      logger.error(facts, "the issuing intermediate could not be renewed");
    }
  }
}
