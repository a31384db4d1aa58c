import type { RunningAttempt } from "@quaymesh/protocol";

/** Heartbeats whose leases wait for the store, beyond which no further message of the node is read. */
const MAX_WAITING = 16;

/** Renews what the heartbeats of one session name, one after the other: they are answered in their order. */
export class HeartbeatQueue {
  readonly #renewNow: (seq: number, running: readonly RunningAttempt[]) => Promise<void>;
  #last: Promise<void> | undefined;
  #waiting = 0;

  constructor(renewNow: (seq: number, running: readonly RunningAttempt[]) => Promise<void>) {
    this.#renewNow = renewNow;
  }

  /** Resolves when the node may send more. `undefined`: it may now. */
  room(): Promise<void> | undefined {
    return this.#waiting >= MAX_WAITING ? this.#last : undefined;
  }

  /** @throws what the renewal throws */
  renew(seq: number, running: readonly RunningAttempt[]): Promise<void> {
    // Nothing to ask the store for, and nothing to wait for.
    if (running.length === 0 && this.#waiting === 0) return this.#renewNow(seq, running);
    this.#waiting += 1;
    const before = this.#last ?? Promise.resolve();
    const turn = before.then(() => this.#renewNow(seq, running));
    // What fails is the caller's to hear of, once.
    this.#last = turn
      .catch(() => undefined)
      .finally(() => {
        this.#waiting -= 1;
      });
    return turn;
  }
}
