/** Retention on a running gateway: what the policy lets go goes, in small pieces, while everything else goes on. */
import { encodeValue } from "@quaymesh/protocol";
import { sleep, type Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Store } from "../store/port.ts";
import type { RetainResult } from "../store/port-events.ts";
import type { SubscriptionKey, SubscriptionRow } from "../store/port-subscriptions.ts";
import { RetentionClock } from "./retention-clock.ts";
import { deviceOf } from "./subscription-start.ts";

/** How long the log is kept. What is left out is no bound. */
export interface RetentionPolicy {
  /** By the gateway's clock at commit. */
  readonly maxAgeMs?: number;
  /** Data, and 96 bytes for each event. */
  readonly maxBytes?: number;
  readonly maxEvents?: number;
  /** Ended tasks, pairing requests and what lies in quarantine. Default: as `maxAgeMs`. */
  readonly maxHistoryMs?: number;
  /** The wall clock is right at this start: retention goes by it at once, however far it is ahead of where retention was. */
  readonly trustClock?: boolean;
}

/** What retention did and does. */
export interface RetentionStats {
  readonly policy: RetentionPolicy;
  /** Events dropped since the start. */
  readonly dropped: number;
  /** Durable subscriptions that need what the policy would let go. */
  readonly heldBy: readonly SubscriptionKey[];
  /** Durable subscriptions that lapsed since the start, because they held more than they may. */
  readonly lapsed: number;
  /** How far retention is behind the wall clock: it jumped, or the gateway was off. */
  readonly clockBehindMs: number;
}

/** What {@link LogKeeper.open} takes. */
export interface LogKeeperOptions {
  readonly store: Store;
  readonly policy: RetentionPolicy;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between looks at what may go. */
const SWEEP_MS = 5000;
/** Between pieces: what others want to commit goes first. */
const PAUSE_MS = 5;
/** Events in one piece: some milliseconds of the store's time. */
const PIECE_EVENTS = 500;
/** Rows of history in one piece: a task has others that go with it. */
const PIECE_ROWS = 100;
/** How often the clock is saved: so much of what passed may be taken for a jump after a crash. */
const SAVE_MS = 600_000;
const CLOCK_KEY = "retention-clock";
/** Kind of the event that records that a device's durable subscription lapsed. */
const LAPSED_EVENT = "mesh.subscription.lapsed";

/** Keeps the log within its policy until it is disposed. A store that refuses is asked again with the next sweep. */
export class LogKeeper implements AsyncDisposable {
  readonly #options: LogKeeperOptions;
  readonly #clock: RetentionClock;
  readonly #ending = new AbortController();
  #running: Promise<void> | undefined;
  #savedAt = Number.NEGATIVE_INFINITY;
  #dropped = 0;
  #lapsed = 0;
  #heldBy: readonly SubscriptionKey[] = [];
  #behindMs = 0;

  private constructor(options: LogKeeperOptions, clock: RetentionClock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Read where retention's clock stood, and begin. */
  static async open(options: LogKeeperOptions): Promise<LogKeeper> {
    const { store, clock, policy } = options;
    const saved = Number((await store.meta.get(CLOCK_KEY)) ?? Number.NaN);
    const trusted = policy.trustClock !== true && Number.isSafeInteger(saved) ? saved : clock.now();
    const keeper = new LogKeeper(options, new RetentionClock(trusted, clock.monotonicMs()));
    keeper.#running = keeper.#run();
    return keeper;
  }

  /** What it did so far. */
  get stats(): RetentionStats {
    const { policy } = this.#options;
    return {
      policy,
      dropped: this.#dropped,
      heldBy: this.#heldBy,
      lapsed: this.#lapsed,
      clockBehindMs: this.#behindMs,
    };
  }

  /** Stop after the piece under way. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new GatewayError("GATEWAY_DRAINING", "the gateway is stopping"));
    await this.#running;
  }

  /** Never rejects but for a fault of this program. */
  async #run(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        await this.#sweep();
        await sleep(clock, SWEEP_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof GatewayError)) throw error;
        logger.warn({ code: error.code }, "retention must wait: the store refuses");
        await sleep(clock, SWEEP_MS, signal).catch(() => undefined);
      }
    }
  }

  async #sweep(): Promise<void> {
    const { store, policy, clock } = this.#options;
    const now = clock.now();
    const trusted = this.#clock.now(now, clock.monotonicMs());
    this.#behindMs = now - trusted;
    await this.#saveClock(trusted);
    const { signal } = this.#ending;
    for (;;) {
      const result = await store.events.retain({
        horizon: policy.maxAgeMs === undefined ? undefined : trusted - policy.maxAgeMs,
        maxBytes: policy.maxBytes,
        maxEvents: policy.maxEvents,
        now,
        agedAt: trusted,
        limit: PIECE_EVENTS,
      });
      this.#note(result);
      for (const row of result.lapsed) await this.#record(row, now);
      if (!result.more) break;
      await sleep(clock, PAUSE_MS, signal);
    }
    const historyMs = policy.maxHistoryMs ?? policy.maxAgeMs;
    if (historyMs === undefined) return;
    const before = trusted - historyMs;
    while ((await store.events.pruneHistory({ before, now, limit: PIECE_ROWS })) > 0)
      await sleep(clock, PAUSE_MS, signal);
  }

  #note({ dropped, lapsed, heldBy }: RetainResult): void {
    const { logger } = this.#options;
    this.#dropped += dropped;
    this.#lapsed += lapsed.length;
    for (const { owner, name, acked, lapsed: why } of lapsed) {
      const facts = { code: "SUBSCRIPTION_LAPSED", owner, subscription: name, acked, quota: why?.by };
      logger.error(
        facts,
        "a durable subscription held more of the log than it may: it lapsed, and misses what goes now",
      );
    }
    if (heldBy.length > 0 && this.#heldBy.length === 0) {
      const names = heldBy.map(({ owner, name }) => `${owner}/${name}`);
      logger.warn({ subscriptions: names }, "the log is kept beyond its bounds: durable subscriptions still need it");
    }
    this.#heldBy = heldBy;
  }

  /** Of a device's own, in the log: its device may read it there, and so may whoever watches the mesh. */
  async #record({ owner, name, acked, lapsed }: SubscriptionRow, now: number): Promise<void> {
    const { store, logger } = this.#options;
    const deviceId = deviceOf(owner);
    if (deviceId === undefined) return;
    const data = encodeValue({ subscription: name, acked, by: lapsed?.by ?? "age" });
    await store.events
      .record({ deviceId, kind: LAPSED_EVENT, data, now })
      .catch((error: unknown) => logger.warn({ device: deviceId, error }, "a lapse could not be recorded"));
  }

  async #saveClock(trusted: number): Promise<void> {
    const { store, policy, clock } = this.#options;
    const now = clock.monotonicMs();
    if ((policy.maxAgeMs ?? policy.maxHistoryMs) === undefined || now - this.#savedAt < SAVE_MS) return;
    await store.meta.put(CLOCK_KEY, String(trusted));
    this.#savedAt = now;
  }
}
