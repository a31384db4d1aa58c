/**
 * What one device may have the gateway do for its events in one turn of the event loop. A few kilobytes of packed batches, or a thousand subscriptions opened at once, are seconds of work
 * that comes in one moment: done in one go, everybody else waits for it. Done in as many turns as it is worth, its sender waits for itself.
 */
import { nextTurn } from "../sessions/next-turn.ts";

/** In one turn, of bytes as {@link workWeight} counts: a few milliseconds, and more than a node that means well asks for. */
const SHARE_BYTES = 512 * 1024;
/** What an event costs beside its data. */
const EVENT_WEIGHT = 256;

/** What a batch weighs. @param bytes of data */
export function workWeight(events: number, bytes: number): number {
  return bytes + EVENT_WEIGHT * events;
}

interface Lane {
  /** Of this turn, and what was begun on credit. */
  spent: number;
  readonly waiting: { readonly weight: number; readonly begin: () => void }[];
}

/** Shares of all devices; one for a gateway. */
export class TurnShare {
  readonly #lanes = new Map<string, Lane>();
  readonly #turn: () => Promise<void>;
  #turning = false;

  /** @param turn resolves in the next turn */
  constructor(turn: () => Promise<void> = nextTurn) {
    this.#turn = turn;
  }

  /** Take of a device's share of this turn. @returns undefined where it may begin now, as nearly always; else resolves in its turn, first come first served */
  take(deviceId: string, weight: number): Promise<void> | undefined {
    let lane = this.#lanes.get(deviceId);
    if (lane === undefined) this.#lanes.set(deviceId, (lane = { spent: 0, waiting: [] }));
    this.#keepTurning();
    if (lane.waiting.length === 0 && lane.spent < SHARE_BYTES) {
      lane.spent += weight;
      return undefined;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    lane.waiting.push({ weight, begin: resolve });
    return promise;
  }

  #keepTurning(): void {
    if (this.#turning) return;
    this.#turning = true;
    void this.#turn().then(() => {
      this.#turning = false;
      for (const [deviceId, lane] of this.#lanes) this.#nextTurnOf(deviceId, lane);
      if (this.#lanes.size > 0) this.#keepTurning();
    });
  }

  #nextTurnOf(deviceId: string, lane: Lane): void {
    lane.spent = Math.max(0, lane.spent - SHARE_BYTES);
    let begun = 0;
    for (const { weight, begin } of lane.waiting) {
      if (lane.spent >= SHARE_BYTES) break;
      lane.spent += weight;
      begun += 1;
      begin();
    }
    lane.waiting.splice(0, begun);
    if (lane.spent === 0) this.#lanes.delete(deviceId);
  }
}
