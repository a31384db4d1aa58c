/** Chance that can be repeated: everything a fuzzer does follows from its seed. */

/** mulberry32, with what a mutator asks for. */
export class Random {
  #state: number;

  /** @param seed a whole number; its lower 32 bits count */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 inclusive to 1 exclusive. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, 0 inclusive to `limit` exclusive; 0 for a limit below 1. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** `true` with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of `values`, which has one at least. */
  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new RangeError("nothing to pick from");
    return value;
  }

  /** So many random bytes. */
  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 1) out[at] = this.below(256);
    return out;
  }

  /** A length: mostly small, at times up to `max`. */
  length(max: number): number {
    const scale = this.next() ** 4;
    return Math.floor(scale * (max + 1));
  }
}
