import type { NativeConnection } from "./binding.ts";

/** What {@link Overdue} needs of quiche. */
export type NativeClock = Pick<NativeConnection, "pathStats" | "sendAckEliciting" | "stats">;

/** The shortest wait for an acknowledgement: several times what a peer may hold one back. */
const MIN_WAIT_MS = 100;
const MAX_WAIT_MS = 1000;
/** RFC 9002 section 6.2.1: with the first sample of the round trip, a probe is due after three of them and the peer's delay. */
const RTTS_PER_WAIT = 2;
/** A timeout longer than that is the idle one: it began with the last datagram. */
const IDLE_SHARE = 0.9;
/** quiche tells timeouts in whole milliseconds. */
const ROUNDING_MS = 5;
/** quiche's idle timeout is three probe timeouts at least, and one is hardly longer than the round trip once that grows by itself. */
const RTTS_IN_FLIGHT = 2;
/** quiche's own timer is trusted where it runs out within so many waits. */
const TRUSTED_WAITS = 2;
/** Questions that a peer may leave unanswered before quiche's timer alone goes on asking: it slows down, and a peer that is gone is none's to flood. */
const MAX_UNHEARD = 3;

/**
 * Asks for acknowledgements where quiche would wait for seconds. quiche stamps packets with the time its pacer has for them, not with the time they are made. The pacer's stands still while packets of
 * one size leave at a low rate; and for longer the longer the measured round trip is. Once some losses have shrunk the congestion window below eight datagrams,
 * each measurement feeds the next: on a path of 20 ms the "round trip" grows to seconds, and the loss of one more answer is noticed as late. Three packets that are
 * acknowledged after a lost one show the loss at once, whatever the clock says (RFC 9002 section 6.1.1). A ping is such a packet; where it is of another size than the data it also moves
 * the pacer's clock on, and so heals the measurement.
 */
export class Overdue {
  readonly #native: NativeClock;
  readonly #idleTimeoutMs: number;
  readonly #waitMs: number;
  #askAt = Infinity;
  /** When the idle timeout that was seen last runs out. */
  #idleAt = Infinity;
  #unheard = 0;
  #heard = 0;

  /** To be made when the handshake is complete, while the round trip is measured well. @param idleTimeoutMs ours */
  constructor(native: NativeClock, idleTimeoutMs: number) {
    this.#native = native;
    // 0: the peer has none.
    this.#idleTimeoutMs = Math.min(idleTimeoutMs, native.stats().peerMaxIdleTimeout || Infinity);
    this.#waitMs = Math.min(MAX_WAIT_MS, MIN_WAIT_MS + RTTS_PER_WAIT * this.#rttMs());
  }

  /** Everything was sent. @param timeoutMs quiche's next timeout @param now of `performance.now()` @returns whether a question is to be sent */
  step(timeoutMs: number | null, now: number): boolean {
    if (timeoutMs === null || timeoutMs <= TRUSTED_WAITS * this.#waitMs || !this.#isInFlight(timeoutMs, now)) {
      this.#askAt = Infinity;
      return false;
    }
    if (this.#askAt === Infinity) this.#askAt = now + this.#waitMs;
    if (now < this.#askAt) return false;
    this.#askAt = now + this.#waitMs;
    return this.#ask();
  }

  // Noise brings a connection here that has been quiet for long: its timeout is short, but the one of before. Where another has run for a while unseen, that costs a ping.
  #isInFlight(timeoutMs: number, now: number): boolean {
    if (Math.abs(now + timeoutMs - this.#idleAt) <= ROUNDING_MS) return false;
    const isIdle =
      timeoutMs > this.#idleTimeoutMs
        ? timeoutMs >= RTTS_IN_FLIGHT * this.#rttMs()
        : timeoutMs > this.#idleTimeoutMs * IDLE_SHARE;
    if (isIdle) this.#idleAt = now + timeoutMs;
    return !isIdle;
  }

  #rttMs(): number {
    return this.#native.pathStats().find((path) => path.active)?.rtt ?? 0;
  }

  #ask(): boolean {
    const { recv } = this.#native.stats();
    if (recv !== this.#heard) this.#unheard = 0;
    this.#heard = recv;
    if (this.#unheard === MAX_UNHEARD) return false;
    this.#unheard += 1;
    this.#native.sendAckEliciting();
    return true;
  }

  /** When to call {@link Overdue.step} again; `Infinity`: with the next datagrams. */
  dueAt(): number {
    return this.#askAt;
  }
}
