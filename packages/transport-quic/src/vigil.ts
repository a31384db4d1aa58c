import { randomBytes } from "node:crypto";
import type { NativeConnection } from "./binding.ts";

/** What a vigil is kept over. */
export interface Watched {
  readonly native: Pick<NativeConnection, "destinationId" | "sendAckEliciting" | "stats" | "timeout">;
  readonly isLive: boolean;
  /** Have datagrams made this turn. */
  wake(): void;
}

/** Options of {@link Vigil}. */
export interface VigilOptions {
  /** How long to wait for a word of the peer before asking, and between questions. */
  readonly everyMs: number;
  /** Without anything in flight, quiche's next timeout is further away than half of this. */
  readonly idleTimeoutMs: number;
  /** Send a datagram past quiche. */
  readonly knock: (datagram: Uint8Array) => void;
}

/** As long as the longest reset and one byte more: a reset is shorter than what it answers (RFC 9000 section 10.3). */
const KNOCK_BYTES = 43;
/** RFC 9000 section 17.3.1: a short header with the fixed bit. */
const SHORT_HEADER = 0x40;
const SHORT_HEADER_RANDOM = 0x3f;

/**
 * Watches over a dialed connection that waits for an acknowledgement. quiche asks ever more rarely while nothing is heard, each time twice as long after the last, so a
 * gateway that was killed and started again, or a network that is back, would be noticed late. A vigil asks at a steady pace.
 */
export class Vigil {
  readonly #watched: Watched;
  readonly #options: VigilOptions;
  #timer: NodeJS.Timeout | undefined;
  #heardBytes = 0;
  /** Packets sent before the question that is about to leave. */
  #sentBefore: number | undefined;

  constructor(watched: Watched, options: VigilOptions) {
    this.#watched = watched;
    this.#options = options;
  }

  /** Everything was sent. @param timeoutMs quiche's next timeout */
  flushed(timeoutMs: number | null): void {
    if (this.#sentBefore !== undefined) this.#seeToAsking(this.#sentBefore);
    if (this.#timer === undefined && this.#isWaiting(timeoutMs)) this.#watch();
  }

  /**
   * Ask for a sign of life. A ping where the congestion window has room: its answer lets quiche repeat what was lost at once. Else a knock, which is a datagram that a living
   * peer drops, a restarted one answers with a stateless reset, and a port without a listener refuses.
   */
  ask(): void {
    const { native } = this.#watched;
    if (!this.#watched.isLive) return;
    this.#sentBefore = native.stats().sent;
    native.sendAckEliciting();
    this.#watched.wake();
  }

  #seeToAsking(sentBefore: number): void {
    this.#sentBefore = undefined;
    const { native } = this.#watched;
    if (native.stats().sent === sentBefore) this.#options.knock(knockOn(native.destinationId()));
  }

  /** Watch no more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  // Where the only timeout left is that of an idle connection, everything sent was acknowledged.
  #isWaiting(timeoutMs: number | null): boolean {
    return timeoutMs !== null && timeoutMs <= this.#options.idleTimeoutMs / 2;
  }

  #watch(): void {
    this.#heardBytes = this.#watched.native.stats().recvBytes;
    this.#timer = setTimeout(this.#fire, this.#options.everyMs);
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    const { native } = this.#watched;
    if (!this.#watched.isLive) return;
    const wasHeard = native.stats().recvBytes !== this.#heardBytes;
    if (wasHeard && !this.#isWaiting(native.timeout())) return;
    this.#watch();
    if (!wasHeard) this.ask();
  };
}

const knockOn = (connectionId: Uint8Array): Uint8Array => {
  const datagram = randomBytes(KNOCK_BYTES);
  datagram.writeUInt8(SHORT_HEADER | ((datagram[0] ?? 0) & SHORT_HEADER_RANDOM), 0);
  datagram.set(connectionId, 1);
  return datagram;
};
