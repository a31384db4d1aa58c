/** Of one token; what is added up in parts may fall a little short. */
const NEARLY_ONE = 1 - 1e-6;

/** What flows at a rate with bursts. Whoever takes more than is there is served and stays in debt: a large batch is one unit, and waits no longer than it costs. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #capacity: number;
  #tokens: number;
  #at: number;

  constructor(limits: { readonly perSecond: number; readonly capacity: number }, nowMs: number) {
    this.#perSecond = limits.perSecond;
    this.#capacity = limits.capacity;
    this.#tokens = limits.capacity;
    this.#at = nowMs;
  }

  /** @returns how long until one may be taken, or more on credit; 0 is now */
  waitMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens > NEARLY_ONE ? 0 : Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000);
  }

  take(amount: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#tokens -= amount;
  }

  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= this.#capacity;
  }

  #refill(nowMs: number): void {
    const passed = Math.max(0, nowMs - this.#at);
    this.#at = Math.max(this.#at, nowMs);
    this.#tokens = Math.min(this.#capacity, this.#tokens + (passed / 1000) * this.#perSecond);
  }
}
