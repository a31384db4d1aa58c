import { isLoopback, sourcePrefix } from "./address.ts";

/** Prefixes remembered at once; beyond it the one seen longest ago is forgotten. */
const MAX_PREFIXES = 4096;
const MS_PER_SECOND = 1000;

interface Bucket {
  tokens: number;
  updatedAt: number;
}

/** Token buckets, one per source prefix, for the handshakes it may start. Loopback is not limited: it is this machine. */
export class HandshakeBudget {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: { readonly perSecond: number; readonly burst: number }) {
    this.#perSecond = options.perSecond;
    this.#burst = options.burst;
  }

  /** Spend one handshake of `host`'s prefix. @param now milliseconds @returns `false` where none is left */
  spend(host: string, now: number): boolean {
    if (isLoopback(host)) return true;
    const prefix = sourcePrefix(host);
    const bucket = this.#buckets.get(prefix) ?? { tokens: this.#burst, updatedAt: now };
    // Deleted and set again: a Map keeps insertion order, so the first key is the one used longest ago.
    this.#buckets.delete(prefix);
    this.#buckets.set(prefix, bucket);
    if (this.#buckets.size > MAX_PREFIXES) this.#forgetOldest();
    const earned = ((now - bucket.updatedAt) / MS_PER_SECOND) * this.#perSecond;
    bucket.tokens = Math.min(this.#burst, bucket.tokens + earned);
    bucket.updatedAt = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
