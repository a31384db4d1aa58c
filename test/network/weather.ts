import type { Random } from "./random.ts";

/** What a path does to the datagrams of one direction. Shares are 0 to 1; what is left out does not happen. */
export interface Weather {
  readonly loss?: number;
  /** Share that comes twice. */
  readonly duplication?: number;
  /** Share that comes up to {@link MOST_LATE_MS} late, and is overtaken by those that follow. */
  readonly reordering?: number;
  /** Share with one bit flipped. */
  readonly corruption?: number;
  /** Added to each datagram's way, plus a random part of `jitterMs`. */
  readonly delayMs?: number;
  readonly jitterMs?: number;
  /** What the path carries. Datagrams wait their turn, and one that finds `queueBytes` waiting is dropped. */
  readonly bytesPerSecond?: number;
  /** Default 65536. */
  readonly queueBytes?: number;
  /** The next so many are lost, whatever else happens. */
  readonly outage?: number;
  /** Longer datagrams vanish, as on a path with a small MTU whose routers tell nobody. */
  readonly maxBytes?: number;
}

/** What happened to datagrams, by number. */
export interface WeatherCounts {
  seen: number;
  lost: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  oversized: number;
  queueFull: number;
}

/** A datagram that arrives, `afterMs` from now. */
export interface Arrival {
  readonly datagram: Uint8Array;
  readonly afterMs: number;
}

/** How late one comes that others overtake. */
export const MOST_LATE_MS = 10;
const DEFAULT_QUEUE_BYTES = 65_536;

/**
 * Decides what becomes of each datagram of one direction. Sees no clock and no socket: time comes in, arrivals come out.
 */
export class Sky {
  readonly #random: Random;
  #weather: Weather;
  #outageLeft: number;
  /** When the path has carried all that waits. */
  #freeAtMs = 0;
  readonly counts: WeatherCounts = {
    seen: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
    oversized: 0,
    queueFull: 0,
  };

  constructor(weather: Weather, random: Random) {
    this.#weather = weather;
    this.#outageLeft = weather.outage ?? 0;
    this.#random = random;
  }

  /** Datagrams that did not arrive. */
  get dropped(): number {
    return this.counts.lost + this.counts.oversized + this.counts.queueFull;
  }

  /** From now on. */
  change(weather: Weather): void {
    this.#weather = weather;
    this.#outageLeft = weather.outage ?? 0;
  }

  /** @param nowMs of any steady clock */
  pass(datagram: Uint8Array, nowMs: number): Arrival[] {
    const { maxBytes = Infinity, loss = 0, duplication = 0 } = this.#weather;
    this.counts.seen += 1;
    if (datagram.length > maxBytes) {
      this.counts.oversized += 1;
      return [];
    }
    if (this.#outageLeft > 0 || this.#happens(loss)) {
      this.#outageLeft -= 1;
      this.counts.lost += 1;
      return [];
    }
    const whole = this.#corrupted(datagram);
    const first = this.#carry(whole, nowMs);
    if (!this.#happens(duplication)) return first;
    this.counts.duplicated += 1;
    return [...first, ...this.#carry(whole, nowMs)];
  }

  #happens(share: number): boolean {
    return share > 0 && this.#random() < share;
  }

  #corrupted(datagram: Uint8Array): Uint8Array {
    if (datagram.length === 0 || !this.#happens(this.#weather.corruption ?? 0)) return datagram;
    this.counts.corrupted += 1;
    const copy = new Uint8Array(datagram);
    const at = Math.floor(this.#random() * copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(this.#random() * 8));
    return copy;
  }

  #lateBy(): number {
    if (!this.#happens(this.#weather.reordering ?? 0)) return 0;
    this.counts.reordered += 1;
    return this.#random() * MOST_LATE_MS;
  }

  #carry(datagram: Uint8Array, nowMs: number): Arrival[] {
    const { bytesPerSecond, queueBytes = DEFAULT_QUEUE_BYTES, delayMs = 0, jitterMs = 0 } = this.#weather;
    let waitMs = 0;
    if (bytesPerSecond !== undefined) {
      const startMs = Math.max(nowMs, this.#freeAtMs);
      if (((startMs - nowMs) * bytesPerSecond) / 1000 + datagram.length > queueBytes) {
        this.counts.queueFull += 1;
        return [];
      }
      this.#freeAtMs = startMs + (datagram.length * 1000) / bytesPerSecond;
      waitMs = this.#freeAtMs - nowMs;
    }
    const jitter = jitterMs > 0 ? jitterMs * this.#random() : 0;
    return [{ datagram, afterMs: waitMs + delayMs + jitter + this.#lateBy() }];
  }
}
