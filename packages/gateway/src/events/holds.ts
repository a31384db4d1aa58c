/** Who reads a durable subscription on this gateway: one at a time. The store's epoch decides; this tells the loser at once. */
import { GatewayError } from "../errors.ts";
import type { SubscriptionKey } from "../store/port-subscriptions.ts";

interface Hold {
  readonly epoch: number;
  readonly lost: (error: GatewayError) => void;
}

/** Consumers of durable subscriptions. */
export class SubscriptionHolds {
  readonly #holds = new Map<string, Hold>();

  /**
   * The store gave a consumer its epoch: whoever has a lower one has lost the subscription, the newcomer itself where it was overtaken on the way.
   * @returns let go
   */
  take(key: SubscriptionKey, epoch: number, lost: (error: GatewayError) => void): () => void {
    const id = `${key.owner}/${key.name}`;
    const current = this.#holds.get(id);
    if (current !== undefined && current.epoch > epoch) {
      lost(taken(key, current.epoch));
      return () => undefined;
    }
    const hold = { epoch, lost };
    this.#holds.set(id, hold);
    current?.lost(taken(key, epoch));
    return () => {
      if (this.#holds.get(id) === hold) this.#holds.delete(id);
    };
  }

  /** Whether somebody reads it now. */
  isHeld({ owner, name }: SubscriptionKey): boolean {
    return this.#holds.has(`${owner}/${name}`);
  }

  /** The subscription is gone. */
  removed(key: SubscriptionKey): void {
    const id = `${key.owner}/${key.name}`;
    const current = this.#holds.get(id);
    this.#holds.delete(id);
    current?.lost(new GatewayError("SUBSCRIPTION_NOT_FOUND", `the durable subscription ${key.name} was removed`));
  }
}

function taken({ name }: SubscriptionKey, epoch: number): GatewayError {
  return new GatewayError("SUBSCRIPTION_TAKEN", `another consumer has taken ${name}`, {
    metadata: { epoch: String(epoch) },
  });
}
