import type { Logger } from "../../logger.ts";
import type { UnitName } from "./units.ts";
import type { Reply } from "./wire.ts";

/** What was refused and never tried again says nothing any more after this time. */
const FORGET_MS = 60_000;
/** What fills a store. */
const EVENTS: UnitName = "events.append";

/**
 * Whether writes find room. One that was refused is told by whether its like finds room again: on a full disk what changes little or nothing still does, a look of retention every few
 * seconds among it, and events do not.
 */
export class StoreHealth {
  /** Writes answered. */
  units = 0;
  readonly #now: () => number;
  /** What was refused last, and when. */
  readonly #refused = new Map<UnitName, number>();

  /** @param now milliseconds, monotonic */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** No room: nothing of what was refused has been taken since. */
  get full(): boolean {
    const since = this.#now() - FORGET_MS;
    for (const [unit, at] of this.#refused) if (at < since) this.#refused.delete(unit);
    return this.#refused.size > 0;
  }

  /** A write was answered. */
  note(unit: UnitName, reply: Reply, logger: Logger | undefined): void {
    this.units += 1;
    if (!reply.ok && reply.error.code === "STORE_FULL") {
      if (!this.full)
        logger?.error({ code: "STORE_FULL" }, "the store is full: nothing is acknowledged until there is room");
      this.#refused.set(unit, this.#now());
      return;
    }
    if (!reply.ok || this.#refused.size === 0) return;
    // Where events find room, so does the rest.
    if (unit === EVENTS) this.#refused.clear();
    else this.#refused.delete(unit);
    if (!this.full) logger?.info({}, "the store has room again");
  }
}
