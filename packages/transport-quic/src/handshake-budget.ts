import { isLoopback, sourcePrefix } from "./address.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { BucketRate } from "./token-bucket.ts";

/** Prefixes remembered at once; beyond it the one seen longest ago is forgotten. */
const MAX_PREFIXES = 4096;

/** Token buckets, one per source prefix, for the handshakes it may start. Loopback is not limited: it is this machine. */
export class HandshakeBudget {
  readonly #rate: BucketRate;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(rate: BucketRate) {
    this.#rate = rate;
  }

  /** Spend one handshake of `host`'s prefix. @param now milliseconds @returns `false` where none is left */
  spend(host: string, now: number): boolean {
    if (isLoopback(host)) return true;
    const prefix = sourcePrefix(host);
    const bucket = this.#buckets.get(prefix) ?? new TokenBucket(this.#rate, now);
    // Deleted and set again: a Map keeps insertion order, so the first key is the one used longest ago.
    this.#buckets.delete(prefix);
    this.#buckets.set(prefix, bucket);
    if (this.#buckets.size > MAX_PREFIXES) this.#forgetOldest();
    return bucket.take(now);
  }

  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
