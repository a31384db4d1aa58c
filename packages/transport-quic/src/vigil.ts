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

/** The longest pause between questions while an answer is owed, in ticks; after it keep-alive is enough. */
const MAX_PATIENCE_TICKS = 8;
/** Heard within one tick, something big is on its way. */
const FLOW_BYTES = 16_384;
/** As long as the longest reset and one byte more: a reset is shorter than what it answers (RFC 9000 section 10.3). */
const KNOCK_BYTES = 43;
/** RFC 9000 section 17.3.1: a short header with the fixed bit. */
const SHORT_HEADER = 0x40;
const SHORT_HEADER_RANDOM = 0x3f;

/**
 * Watches over a dialed connection that expects to hear something, so that a gateway that was killed and started again, or a network that is back, is noticed soon. There are three such times.
 *
 * While an acknowledgement is missing, quiche asks ever more rarely, each time twice as long after the last; a vigil asks at a steady pace.
 *
 * While all is acknowledged but we spoke last, quiche asks nothing: a gateway killed between the acknowledgement and its answer would be missed only by keep-alive. A vigil asks
 * after one tick, two, four and eight; not for ever, as many a last word gets no answer.
 *
 * While much is coming in, quiche sends acknowledgements only: where a NAT gives us another address just then, the gateway goes on sending to the old one, and falls silent. A
 * vigil asks once, and so shows where we are.
 */
export class Vigil {
  readonly #watched: Watched;
  readonly #options: VigilOptions;
  #timer: NodeJS.Timeout | undefined;
  #heardBytes = 0;
  #isOwed = false;
  #wasFlowing = false;
  #patienceTicks = 1;
  #ticksLeft = 1;
  /** Packets sent before the question that is about to leave. */
  #sentBefore: number | undefined;

  constructor(watched: Watched, options: VigilOptions) {
    this.#watched = watched;
    this.#options = options;
  }

  /** Stream data is about to be sent. */
  spoke(): void {
    this.#isOwed = true;
    this.#patienceTicks = 1;
    this.#ticksLeft = 1;
  }

  /** Stream data came in. */
  answered(): void {
    this.#isOwed = false;
    if (this.#timer === undefined) this.#watch();
  }

  /** Everything was sent. @param timeoutMs quiche's next timeout */
  flushed(timeoutMs: number | null): void {
    if (this.#sentBefore !== undefined) this.#seeToAsking(this.#sentBefore);
    if (this.#timer === undefined && (this.#isOwed || this.#isInFlight(timeoutMs))) this.#watch();
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

  /** Watch no more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #seeToAsking(sentBefore: number): void {
    this.#sentBefore = undefined;
    const { native } = this.#watched;
    if (native.stats().sent === sentBefore) this.#options.knock(knockOn(native.destinationId()));
  }

  // Where the only timeout left is that of an idle connection, everything sent was acknowledged.
  #isInFlight(timeoutMs: number | null): boolean {
    return timeoutMs !== null && timeoutMs <= this.#options.idleTimeoutMs / 2;
  }

  #watch(): void {
    this.#heardBytes = this.#watched.native.stats().recvBytes;
    this.#timer = setTimeout(this.#tick, this.#options.everyMs);
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    const { native, isLive } = this.#watched;
    if (!isLive) return;
    const heardBytes = native.stats().recvBytes - this.#heardBytes;
    const fellSilent = this.#wasFlowing && heardBytes === 0;
    this.#wasFlowing = heardBytes >= FLOW_BYTES;
    const isInFlight = this.#isInFlight(native.timeout());
    if (!isInFlight && !this.#isOwed && !this.#wasFlowing && !fellSilent) return;
    this.#watch();
    if (isInFlight ? heardBytes === 0 : fellSilent || this.#isOutOfPatience()) this.ask();
  };

  #isOutOfPatience(): boolean {
    if (!this.#isOwed) return false;
    this.#ticksLeft -= 1;
    if (this.#ticksLeft > 0) return false;
    this.#isOwed = this.#patienceTicks < MAX_PATIENCE_TICKS;
    this.#patienceTicks *= 2;
    this.#ticksLeft = this.#patienceTicks;
    return true;
  }
}

const knockOn = (connectionId: Uint8Array): Uint8Array => {
  const datagram = randomBytes(KNOCK_BYTES);
  datagram.writeUInt8(SHORT_HEADER | ((datagram[0] ?? 0) & SHORT_HEADER_RANDOM), 0);
  datagram.set(connectionId, 1);
  return datagram;
};
