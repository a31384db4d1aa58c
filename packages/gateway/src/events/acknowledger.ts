import type { SubscriptionStore } from "../store/port-subscriptions.ts";
import type { Clock } from "../clock.ts";
import type { TakenSubscription } from "./subscription-start.ts";

/** Moves the cursor of a durable subscription: one commit at a time, and what is acknowledged meanwhile goes into the next. */
export class Acknowledger {
  readonly #store: SubscriptionStore;
  readonly #clock: Clock;
  readonly #taken: TakenSubscription;
  readonly #acked: (offset: number) => Promise<void>;
  #wanted: number;
  #committed: number;
  #running = false;

  /** @param acked called after each commit */
  constructor(
    store: SubscriptionStore,
    clock: Clock,
    taken: TakenSubscription,
    acked: (offset: number) => Promise<void>,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#taken = taken;
    this.#acked = acked;
    this.#wanted = taken.acked;
    this.#committed = taken.acked;
  }

  /** Resolves when nothing is left to commit, or at once where another call sees to it. @throws {GatewayError} as `SubscriptionStore.acknowledge` */
  async acknowledge(offset: number): Promise<void> {
    this.#wanted = Math.max(this.#wanted, offset);
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#wanted > this.#committed) {
        const { key, epoch } = this.#taken;
        const now = this.#clock.now();
        const { acked } = await this.#store.acknowledge({ ...key, epoch, offset: this.#wanted, now });
        this.#committed = acked;
        await this.#acked(acked);
      }
    } finally {
      this.#running = false;
    }
  }
}
