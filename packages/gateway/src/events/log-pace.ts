import type { Clock } from "../clock.ts";

/** Between lines about the same. */
const EVERY_MS = 60_000;
/** What nothing was said of for so long is forgotten beyond so many. */
const MAX_KEPT = 1024;

/** Lines of the log about what a device does: one a minute for each matter, the next with what was left out. A device that could write the gateway's log as fast as it sends would fill its disk. */
export class LogPace {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #matters = new Map<string, { since: number; leftOut: number }>();

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** @returns what goes with the line; undefined where there is to be none */
  line(deviceId: string, matter: string): { readonly device: string; readonly leftOut?: number } | undefined {
    const key = `${deviceId} ${matter}`;
    const now = this.#clock.monotonicMs();
    const last = this.#matters.get(key);
    if (last !== undefined && now - last.since < EVERY_MS) {
      last.leftOut += 1;
      return undefined;
    }
    if (this.#matters.size >= MAX_KEPT) this.#forget(now);
    this.#matters.set(key, { since: now, leftOut: 0 });
    const leftOut = last?.leftOut ?? 0;
    return { device: deviceId, ...(leftOut > 0 && { leftOut }) };
  }

  #forget(now: number): void {
    for (const [key, { since }] of this.#matters) if (now - since >= EVERY_MS) this.#matters.delete(key);
  }
}
