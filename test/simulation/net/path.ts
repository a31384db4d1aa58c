import type { Random } from "../random.ts";
import type { World } from "../world.ts";

/** What a path does to packets. Probabilities are of a packet. */
export interface Weather {
  readonly latencyMs: number;
  /** On top, anything up to this: packets overtake each other. */
  readonly jitterMs: number;
  readonly loss: number;
  readonly repeat: number;
}

/** Which way. */
export type Direction = "to-gateway" | "to-node";

/** A good network. */
export const CALM: Weather = { latencyMs: 5, jitterMs: 1, loss: 0, repeat: 0 };

const FIRST_RETRY_MS = 40;
const MAX_RETRY_MS = 3000;

/** The network between one node and the gateway. */
export class Path {
  weather: Weather = CALM;
  readonly #world: World;
  readonly #random: Random;
  readonly #blockedSince: Record<Direction, number | undefined> = { "to-gateway": undefined, "to-node": undefined };
  readonly #listeners = new Set<() => void>();
  readonly #connections = new Set<() => void>();

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  /** Since when nothing gets through that way; `undefined` while something does. */
  blockedSince(direction: Direction): number | undefined {
    return this.#blockedSince[direction];
  }

  /** Let nothing through that way, or again everything. */
  block(direction: Direction, blocked: boolean): void {
    if (blocked === (this.#blockedSince[direction] !== undefined)) return;
    this.#blockedSince[direction] = blocked ? this.#world.now : undefined;
    if (blocked) for (const hear of this.#listeners) hear();
  }

  /** Be told when something is blocked. @returns stop */
  onBlocked(hear: () => void): () => void {
    this.#listeners.add(hear);
    return () => this.#listeners.delete(hear);
  }

  /** Be told when whatever lives on this path breaks. @returns stop */
  onCut(hear: () => void): () => void {
    this.#connections.add(hear);
    return () => this.#connections.delete(hear);
  }

  /** Break every connection, with all that is under way on it. */
  cut(): void {
    for (const hear of this.#connections) hear();
  }

  /**
   * Bring one packet across, by sending it again until it has arrived or is not `wanted` any more. `arrive` may be called more than once, and later
   * than those of packets that were sent after it.
   */
  carry(direction: Direction, packet: { readonly wanted: () => boolean; readonly arrive: () => void }): void {
    this.#send(direction, packet, FIRST_RETRY_MS);
  }

  /** Bring one packet across or not: nobody sends it again. */
  carryOnce(direction: Direction, arrive: () => void): void {
    if (this.#isLost(direction)) return;
    this.#world.after(this.#delay(), () => {
      if (this.#blockedSince[direction] === undefined) arrive();
    });
  }

  #send(
    direction: Direction,
    packet: { readonly wanted: () => boolean; readonly arrive: () => void },
    retryMs: number,
  ): void {
    const again = (): void => {
      if (packet.wanted()) this.#send(direction, packet, Math.min(MAX_RETRY_MS, retryMs * 2));
    };
    if (this.#isLost(direction)) {
      this.#world.after(retryMs, again);
      return;
    }
    const arrive = (): void => {
      if (this.#blockedSince[direction] === undefined) packet.arrive();
      else this.#world.after(retryMs, again);
    };
    this.#world.after(this.#delay(), arrive);
    if (this.#random.chance(this.weather.repeat)) this.#world.after(this.#delay() * 3, packet.arrive);
  }

  #isLost(direction: Direction): boolean {
    return this.#blockedSince[direction] !== undefined || this.#random.chance(this.weather.loss);
  }

  #delay(): number {
    return this.weather.latencyMs + this.#random.next() * this.weather.jitterMs;
  }
}
