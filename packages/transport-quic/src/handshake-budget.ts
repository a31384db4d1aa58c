import { isLoopback, sourcePrefix } from "./address.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { BucketRate } from "./token-bucket.ts";

/** Prefixes remembered at once; beyond it the one seen longest ago is forgotten. */
const MAX_PREFIXES = 4096;

/** What a whole IPv6 site may start, as a multiple of what one of its 65536 prefixes may. */
const SITE_FACTOR = 4;
const SITE_GROUPS = 3;

/**
 * Token buckets, one per source prefix, for the handshakes it may start, and one per IPv6 /48, which is what a site or a tunnel account gets. Loopback is not limited: it is this machine.
 */
export class HandshakeBudget {
  readonly #rate: BucketRate;
  readonly #siteRate: BucketRate;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(rate: BucketRate) {
    this.#rate = rate;
    this.#siteRate = { perSecond: rate.perSecond * SITE_FACTOR, burst: rate.burst * SITE_FACTOR };
  }

  /** Spend one handshake of `host`'s prefix. @param now milliseconds @returns `false` where none is left */
  spend(host: string, now: number): boolean {
    if (isLoopback(host)) return true;
    const prefix = sourcePrefix(host);
    // In this order, so that one prefix can use up no more of its site's budget than it has of its own.
    if (!this.#take(prefix, this.#rate, now)) return false;
    const groups = prefix.split(":");
    return groups.length <= SITE_GROUPS || this.#take(groups.slice(0, SITE_GROUPS).join(":"), this.#siteRate, now);
  }

  #take(key: string, rate: BucketRate, now: number): boolean {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(rate, now);
    // Deleted and set again: a Map keeps insertion order, so the first key is the one used longest ago.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_PREFIXES) this.#forgetOldest();
    return bucket.take(now);
  }

  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
