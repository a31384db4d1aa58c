import { isLoopback, sourcePrefix } from "./address.ts";

/** A handshake under way, as {@link HalfOpen} keeps it. */
export interface Handshake {
  /** Make room: its client is told that there is none. */
  displace(): void;
}

interface Entry {
  readonly handshake: Handshake;
  /** Whose share it counts to; `undefined` where its address is not proved, or is this machine's. */
  readonly prefix: string | undefined;
  readonly since: number;
}

/** A handshake takes a round trip or two; one that has taken this long gives its place to a newcomer. */
export const DISPLACED_AFTER_MS = 500;
/** Below so many, a handshake under way is likelier one of ours than one of a flood. */
const MIN_TURNOVER = 16;
/** One prefix may hold a quarter of the places. */
const SHARES = 4;

/**
 * The handshakes that are half open, and how many of them there may be. Every one costs memory and a TLS state before its client has shown who it is, so their number has a bound of its
 * own below that of connections; and one network must not hold all of them. Where there is no room, the oldest goes if it has taken
 * suspiciously long, else one of the younger half, and else the newcomer does.
 */
export class HalfOpen {
  readonly #max: number;
  readonly #entries = new Map<object, Entry>();
  readonly #byPrefix = new Map<string, Set<object>>();

  /** @param max handshakes at once, above 0 */
  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @param key what {@link HalfOpen.delete} will be called with @param validated whether the address was proved @param now milliseconds */
  add(key: object, handshake: Handshake, from: { host: string; validated: boolean; now: number }): void {
    const prefix = prefixOf(from);
    this.#entries.set(key, { handshake, prefix, since: from.now });
    if (prefix === undefined) return;
    const same = this.#byPrefix.get(prefix) ?? new Set();
    this.#byPrefix.set(prefix, same.add(key));
  }

  has(key: object): boolean {
    return this.#entries.has(key);
  }

  /** The handshake is over. Idempotent. */
  delete(key: object): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    if (entry.prefix === undefined) return;
    const same = this.#byPrefix.get(entry.prefix);
    same?.delete(key);
    if (same?.size === 0) this.#byPrefix.delete(entry.prefix);
  }

  /**
   * Make room for one more from `host`, at the cost of one that has taken long if need be.
   * @param isFull whether there is no place for another connection at all @returns whether there is room
   */
  makeRoom(from: { host: string; validated: boolean; now: number }, isFull: boolean): boolean {
    const prefix = prefixOf(from);
    const same = prefix === undefined ? undefined : this.#byPrefix.get(prefix);
    if (same !== undefined && same.size >= Math.ceil(this.#max / SHARES)) return this.#displace(same.keys(), from.now);
    if (!isFull && this.#entries.size < this.#max) return true;
    return this.#displace(this.#entries.keys(), from.now) || (from.validated && this.#turnOver());
  }

  // A flood from many proved addresses fills every place faster than any handshake grows old. The older half keep theirs, for those who are far away; the younger half turn over, so that whoever is
  // near always gets in: a place there lasts half the places divided by the flood's rate, 85 ms at 128 places and 750 a second.
  #turnOver(): boolean {
    if (this.#entries.size < MIN_TURNOVER) return false;
    let left = Math.floor(this.#entries.size / 2);
    for (const [key, { handshake }] of this.#entries) {
      left -= 1;
      if (left >= 0) continue;
      this.delete(key);
      handshake.displace();
      return true;
    }
    return false;
  }

  // Maps and sets keep their order, so the first is the oldest.
  #displace(keys: Iterator<object>, now: number): boolean {
    const { value: key } = keys.next();
    const entry = key === undefined ? undefined : this.#entries.get(key);
    if (key === undefined || entry === undefined || now - entry.since < DISPLACED_AFTER_MS) return false;
    this.delete(key);
    entry.handshake.displace();
    return true;
  }
}

// An address that is only claimed says nothing about whose share it is: or its owner's could be used up by others.
const prefixOf = (from: { host: string; validated: boolean }): string | undefined =>
  from.validated && !isLoopback(from.host) ? sourcePrefix(from.host) : undefined;
