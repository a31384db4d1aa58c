/** Chance that can be repeated: everything that happens in a simulation follows from its seed. */

/** mulberry32. Streams that are forked off do not disturb each other: leaving a fault out does not change the weather of another link. */
export class Random {
  readonly #seed: number;
  #state: number;

  /** @param seed a whole number; its lower 32 bits count */
  constructor(seed: number) {
    this.#seed = seed >>> 0;
    this.#state = this.#seed;
  }

  /** A stream of its own, the same for the same seed and `name`, whatever was drawn before. */
  fork(name: string): Random {
    let hash = 0x811c9dc5 ^ this.#seed;
    for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
    return new Random(hash ^ (hash >>> 15));
  }

  /** 0 inclusive to 1 exclusive. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, `low` and `high` included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** `true` with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of `values`, which has one at least. */
  pick<T>(values: readonly T[]): T {
    const value = values[Math.floor(this.next() * values.length)];
    if (value === undefined) throw new RangeError("nothing to pick from");
    return value;
  }
}
