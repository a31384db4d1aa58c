/** What stands between the nodes' batches and the store: how fast one device may be, how much of the log it may hold, and whose turn it is. */
import type { EventBatch, PackedBatch } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import type { Store } from "../store/port.ts";
import type { AppendInput, AppendResult } from "../store/port-events.ts";
import { FairQueue } from "./fair-queue.ts";
import type { RecentPages } from "./recent-pages.ts";
import { TokenBucket } from "./token-bucket.ts";
import { workWeight } from "./turn-share.ts";
import { unpackBatch } from "./unpack.ts";

/** Bounds of what devices publish. */
export interface IngestLimits {
  readonly maxEventsPerSecond: number;
  readonly maxBytesPerSecond: number;
  /** What one device may hold of the log, as `RetentionPolicy.maxBytes` counts. */
  readonly maxDeviceBytes: number;
}

/** Far above what a device means to send, and below what one could take from all the others. */
const INGEST_LIMITS: IngestLimits = {
  maxEventsPerSecond: 100_000,
  maxBytesPerSecond: 128 * 1024 * 1024,
  maxDeviceBytes: Number.MAX_SAFE_INTEGER,
};

/** Why a batch was not taken: `rate` and `quota` are the device's own limits, `store` the gateway's. docs/wire.md, "Publishing". */
type ThrottleReason = "rate" | "quota" | "store";

interface Throttled {
  readonly kind: "throttled";
  readonly reason: ThrottleReason;
  readonly retryAfterMs: number;
}

/** What became of a batch. */
export type Admission = Exclude<AppendResult, { readonly kind: "over-quota" }> | Throttled;

/** What became of a packed batch. */
export type Unpacking = { readonly kind: "unpacked"; readonly batch: EventBatch } | Throttled;

/** What was turned away since the start. */
export interface IngestStats {
  readonly throttledRate: number;
  readonly throttledQuota: number;
  /** Batches that wait for their turn. */
  readonly waiting: number;
}

/** Seconds of its rate that a device may send at once. */
const BURST_SECONDS = 2;
/** Shorter pauses are not worth sending everything again. */
const MIN_PAUSE_MS = 20;
/** A device over its quota waits for retention, which takes its time. */
const QUOTA_PAUSE_MS = 30_000;
/** At the store at once: enough for a commit to be shared by many, little enough that the next in turn does not wait long. */
const MAX_STORE_BYTES = 4 * 1024 * 1024;
/** What one device may begin in its turn, as `workWeight` counts. */
const QUANTUM_BYTES = 128 * 1024;
/** Batches of one device that may wait for their turn, on however many streams it sends them: they take memory. A node means to send a handful at a time. */
const MAX_WAITING = 64;
const CROWDED_PAUSE_MS = 200;
/** Between log lines of one device. */
const LOG_EVERY_MS = 60_000;
/** Devices whose buckets are full again are forgotten beyond so many. */
const MAX_IDLE_DEVICES = 1024;

/** Of the rate at which a device may publish, what may be unpacked for it: also what is sent again, or turned away afterwards, has been unpacked. */
const UNPACKING = 2;

interface Meter {
  readonly events: TokenBucket;
  readonly bytes: TokenBucket;
  /** What was unpacked, whatever became of it: its sender spent next to nothing on it. */
  readonly unpackedEvents: TokenBucket;
  readonly unpackedBytes: TokenBucket;
  loggedAt: number;
}

/** What an {@link IngestGate} works with. */
export interface IngestGateParts {
  readonly store: Store;
  readonly recent: Pick<RecentPages, "isWanted">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One for a gateway: a device's limits hold over all its streams and sessions. */
export class IngestGate {
  readonly #options: IngestGateParts;
  readonly #limits: IngestLimits;
  readonly #meters = new Map<string, Meter>();
  readonly #queue = new FairQueue({ maxWeight: MAX_STORE_BYTES, quantum: QUANTUM_BYTES });
  #rate = 0;
  #quota = 0;

  constructor(options: IngestGateParts, limits: Partial<IngestLimits> = {}) {
    this.#options = options;
    this.#limits = { ...INGEST_LIMITS, ...limits };
  }

  /** What was turned away, and what waits. */
  get stats(): IngestStats {
    return { throttledRate: this.#rate, throttledQuota: this.#quota, waiting: this.#queue.waiting };
  }

  /**
   * Unpack a batch, or say why not. Nothing is spent on one of a device that is over its rate.
   * @throws {ProtocolError} `CBOR_INVALID`, `MESSAGE_INVALID`
   */
  unpack(deviceId: string, packed: PackedBatch): Unpacking {
    const meter = this.#meter(deviceId);
    const now = this.#options.clock.monotonicMs();
    const waitMs = Math.max(meter.unpackedEvents.waitMs(now), meter.unpackedBytes.waitMs(now));
    if (waitMs > 0) return this.#turnAway(deviceId, "rate", Math.max(waitMs, MIN_PAUSE_MS));
    meter.unpackedBytes.take(packed.bytes, now);
    const batch = unpackBatch(packed);
    meter.unpackedEvents.take(batch.events.length, now);
    return { kind: "unpacked", batch };
  }

  /** Store a batch, or say why not. @throws {GatewayError} as the store */
  async append(input: Omit<AppendInput, "maxHeldBytes" | "pageWanted">): Promise<Admission> {
    const { store, recent, clock } = this.#options;
    const { deviceId, events } = input;
    const bytes = events.reduce((sum, { data }) => sum + data.length, 0);
    const meter = this.#meter(deviceId);
    const now = clock.monotonicMs();
    const waitMs = Math.max(meter.events.waitMs(now), meter.bytes.waitMs(now));
    if (this.#queue.waitingOf(deviceId) >= MAX_WAITING) return this.#turnAway(deviceId, "rate", CROWDED_PAUSE_MS);
    if (waitMs > 0) return this.#turnAway(deviceId, "rate", Math.max(waitMs, MIN_PAUSE_MS));
    meter.events.take(events.length, now);
    meter.bytes.take(bytes, now);
    const { maxDeviceBytes } = this.#limits;
    const result = await this.#queue.run(deviceId, workWeight(events.length, bytes), () =>
      store.events.append({ ...input, maxHeldBytes: maxDeviceBytes, pageWanted: recent.isWanted }),
    );
    return result.kind === "over-quota" ? this.#turnAway(deviceId, "quota", QUOTA_PAUSE_MS) : result;
  }

  #turnAway(deviceId: string, reason: "rate" | "quota", retryAfterMs: number): Throttled {
    if (reason === "rate") this.#rate += 1;
    else this.#quota += 1;
    const { logger, clock } = this.#options;
    const meter = this.#meter(deviceId);
    const now = clock.monotonicMs();
    if (now - meter.loggedAt >= LOG_EVERY_MS) {
      meter.loggedAt = now;
      const what = reason === "rate" ? "publishes faster than it may" : "holds as much of the log as it may";
      logger.warn({ device: deviceId, reason, retryAfterMs }, `a device ${what}: it was told to wait`);
    }
    return { kind: "throttled", reason, retryAfterMs };
  }

  #meter(deviceId: string): Meter {
    const found = this.#meters.get(deviceId);
    if (found !== undefined) return found;
    const now = this.#options.clock.monotonicMs();
    if (this.#meters.size >= MAX_IDLE_DEVICES) this.#forgetIdle(now);
    const { maxEventsPerSecond, maxBytesPerSecond } = this.#limits;
    const bucket = (perSecond: number) => new TokenBucket({ perSecond, capacity: perSecond * BURST_SECONDS }, now);
    const meter: Meter = {
      events: bucket(maxEventsPerSecond),
      bytes: bucket(maxBytesPerSecond),
      unpackedEvents: bucket(maxEventsPerSecond * UNPACKING),
      unpackedBytes: bucket(maxBytesPerSecond * UNPACKING),
      loggedAt: Number.NEGATIVE_INFINITY,
    };
    this.#meters.set(deviceId, meter);
    return meter;
  }

  /** One that is full says nothing that a new one would not. */
  #forgetIdle(now: number): void {
    for (const [deviceId, { events, bytes, unpackedEvents, unpackedBytes, loggedAt }] of this.#meters) {
      const isIdle = [events, bytes, unpackedEvents, unpackedBytes].every((bucket) => bucket.isFull(now));
      if (isIdle && now - loggedAt >= LOG_EVERY_MS) this.#meters.delete(deviceId);
    }
  }
}
