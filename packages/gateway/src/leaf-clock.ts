import type { Credentials } from "@quaymesh/protocol";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** A certificate with its key, and when the next should take its place. */
export interface LeafCredentials {
  readonly credentials: Credentials;
  /** Unix milliseconds. */
  readonly renewAt: number;
}

/** What {@link keepLeaf} works with. */
export interface LeafClockOptions {
  readonly first: LeafCredentials;
  readonly next: () => Promise<LeafCredentials>;
  /** Have new handshakes show these. */
  readonly use: (credentials: Credentials) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Timers end at 2^31 ms, and a machine that slept must not be a day late: longer waits are taken in pieces. */
const PIECE_MS = 3_600_000;

/** Renew an endpoint's certificate when its time comes, until `signal` aborts. One that fails is tried again each hour; the one in use is good for as long again. */
export function keepLeaf({ first, next, use, clock, logger, signal }: LeafClockOptions): void {
  let { renewAt } = first;
  let cancel: () => void = () => undefined;
  const wait = (): void => {
    if (!signal.aborted) cancel = clock.after(Math.min(PIECE_MS, Math.max(0, renewAt - clock.now())), look);
  };
  const renew = async (): Promise<void> => {
    try {
      const leaf = await next();
      use(leaf.credentials);
      ({ renewAt } = leaf);
      logger.info({ renewAt }, "the endpoint's certificate was renewed");
    } catch (cause) {
      renewAt = clock.now() + PIECE_MS;
      logger.error({ err: cause }, "the endpoint's certificate could not be renewed");
    }
    wait();
  };
  const look = (): void => {
    if (clock.now() < renewAt) wait();
    else void renew();
  };
  signal.addEventListener("abort", () => cancel(), { once: true });
  wait();
}
