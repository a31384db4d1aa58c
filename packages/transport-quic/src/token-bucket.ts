const MS_PER_SECOND = 1000;

/** So many at once, so many a second after that. */
export interface BucketRate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A rate limit. The caller brings the time, in milliseconds of any monotonic clock. */
export class TokenBucket {
  readonly #rate: BucketRate;
  #tokens: number;
  #updatedAt: number;

  constructor(rate: BucketRate, now: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#updatedAt = now;
  }

  /** Take one. @returns `false` where none is left */
  take(now: number): boolean {
    return this.takeUpTo(1, now) === 1;
  }

  /** Take as many of `wanted` as there are. @returns how many that was */
  takeUpTo(wanted: number, now: number): number {
    const earned = ((now - this.#updatedAt) / MS_PER_SECOND) * this.#rate.perSecond;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + earned);
    this.#updatedAt = now;
    const taken = Math.min(wanted, Math.floor(this.#tokens));
    this.#tokens -= taken;
    return taken;
  }
}
