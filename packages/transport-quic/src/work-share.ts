import type { ListenLimits } from "@quaymesh/protocol";
import { TokenBucket } from "./token-bucket.ts";

/**
 * New streams of one connection that are taken up in one turn. What an application does for a stream is done in the same turn, and every other connection of the endpoint waits for
 * it, so a thousand streams opened in one datagram must be worked off in as many turns as they are worth.
 */
export const STREAMS_PER_TURN = 64;
/** Milliseconds until more may be taken up, where the rate is what holds them back. */
export const THROTTLE_PAUSE_MS = 20;
const STREAM_BURST_SECONDS = 2;
const RESET_BURST_SECONDS = 4;

/** What a {@link WorkShare} is made by. */
export type WorkLimits = Pick<ListenLimits, "maxStreamsPerSecond" | "maxResetsPerSecond" | "maxStreamsEver">;

/** How much was granted, and when to ask again where that was not all. */
export type Share =
  | { readonly kind: "all" }
  /** The rest in the next turn. */
  | { readonly kind: "turn"; readonly granted: number }
  /** The rest after a pause: the peer opens streams faster than it may. */
  | { readonly kind: "throttled"; readonly granted: number; readonly pauseMs: number };

const ALL: Share = { kind: "all" };

/**
 * What one peer may ask of its listener. Streams beyond its share wait unread in quiche, where they hold the peer's own stream credit: nothing is lost, and it can have no more of them
 * open than `maxStreams`. Resets have no such brake, each undoes the work for its stream; so there is a rate beyond which the peer is sent away.
 */
export class WorkShare {
  readonly #limits: Omit<WorkLimits, "maxStreamsEver">;
  readonly #streams: TokenBucket | undefined;
  /** Of {@link STREAMS_PER_TURN}: a turn may ask more than once. */
  #leftThisTurn = STREAMS_PER_TURN;
  /** Since the first. */
  #resets: TokenBucket | undefined;

  /** @param now milliseconds, monotonic */
  constructor(limits: Omit<WorkLimits, "maxStreamsEver">, now: number) {
    const { maxStreamsPerSecond: streams } = limits;
    this.#limits = limits;
    this.#streams =
      streams === Infinity
        ? undefined
        : new TokenBucket({ perSecond: streams, burst: streams * STREAM_BURST_SECONDS }, now);
  }

  /** A turn begins: as much as one may have is there again. */
  beginTurn(): void {
    this.#leftThisTurn = STREAMS_PER_TURN;
  }

  /** The peer opened `wanted` streams, 1 or more. @param now milliseconds */
  grant(wanted: number, now: number): Share {
    const turn = Math.min(wanted, this.#leftThisTurn);
    const granted = this.#streams?.takeUpTo(turn, now) ?? turn;
    this.#leftThisTurn -= granted;
    if (granted === wanted) return ALL;
    return granted < turn ? { kind: "throttled", granted, pauseMs: THROTTLE_PAUSE_MS } : { kind: "turn", granted };
  }

  /** The peer reset a stream. @returns `false` where that was one too many */
  reset(now: number): boolean {
    const perSecond = this.#limits.maxResetsPerSecond;
    this.#resets ??= new TokenBucket({ perSecond, burst: perSecond * RESET_BURST_SECONDS }, now);
    return this.#resets.take(now);
  }
}
