/** Looks through the whole log now and then, so that damage is known before somebody needs what it hit. */
import { sleep, type Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Store } from "../store/port.ts";

/** What {@link LogScrub.start} takes. */
export interface LogScrubOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What was found in the look that is under way or was the last. */
export interface ScrubStats {
  /** Everything up to here has been looked at. */
  readonly checkedTo: number;
  /** Events that are not what was stored. */
  readonly damaged: number;
}

/** Between looks. */
const EVERY_MS = 86_400_000;
/** After the start, which has better things to do. */
const FIRST_MS = 60_000;
/** Some milliseconds of the reading thread, and then it is others' turn: ten thousand events a second at most. */
const PIECE_EVENTS = 500;
const PAUSE_MS = 50;
/** Of one look, so many damaged events are named in the log; the rest is counted. */
const MAX_NAMED = 20;

/** Reads the log from end to end once a day, at a pace that leaves the reading thread to others. */
export class LogScrub implements AsyncDisposable {
  readonly #options: LogScrubOptions;
  readonly #ending = new AbortController();
  #running: Promise<void> | undefined;
  #checkedTo = 0;
  #damaged = 0;

  private constructor(options: LogScrubOptions) {
    this.#options = options;
  }

  /** Begin; the first look comes a minute later. */
  static start(options: LogScrubOptions): LogScrub {
    const scrub = new LogScrub(options);
    scrub.#running = scrub.#run();
    return scrub;
  }

  /** Where it is, and what it found. */
  get stats(): ScrubStats {
    return { checkedTo: this.#checkedTo, damaged: this.#damaged };
  }

  /** Stop after the piece under way. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new GatewayError("GATEWAY_DRAINING", "the gateway is stopping"));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#ending;
    let waitMs = FIRST_MS;
    while (!signal.aborted) {
      try {
        await sleep(clock, waitMs, signal);
        await this.#look(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof GatewayError)) throw error;
        logger.warn({ code: error.code }, "the look through the log broke off: it begins anew later");
      }
      waitMs = EVERY_MS;
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { store, clock, logger } = this.#options;
    this.#checkedTo = 0;
    let found = 0;
    for (;;) {
      const { through, damaged, latest } = await store.events.verify({ after: this.#checkedTo, limit: PIECE_EVENTS });
      this.#checkedTo = through;
      if (damaged !== undefined) {
        found += 1;
        // What the last look found stays told until this one knows better.
        this.#damaged = Math.max(this.#damaged, found);
        if (found <= MAX_NAMED) logger.error({ code: "EVENT_DAMAGED", offset: damaged }, "an event is damaged on disk");
      }
      if (through >= latest) break;
      await sleep(clock, PAUSE_MS, signal);
    }
    this.#damaged = found;
    if (found > 0)
      logger.error({ damaged: found }, "the log is damaged: restore it from a backup, or read on behind the damage");
  }
}
