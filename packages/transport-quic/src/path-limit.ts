import { DEFAULT_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES } from "./options.ts";

/** Loss timers that ran out one after the other: three probes, as RFC 8899 section 5.1.2 has it. */
const MAX_TIMEOUTS = 3;
/** More long datagrams than that between two of them take acknowledgements of long ones: probes alone are two at a time. That the peer is heard shows only that short ones arrive. */
const MAX_PROBES = 8;
/** How often losses are counted where no timer runs out, because acknowledgements of short datagrams tell of them. */
const COUNT_EVERY = 32;
/** Fewer long datagrams say nothing about the path. */
const MIN_LONG = 6;
/** Of long datagrams, the share whose loss is no longer congestion: short ones come through meanwhile. */
const LOST_SHARE = 0.75;
/** After so many long datagrams that were not lost, counting begins anew: paths change. */
const WINDOW = 256;

/**
 * How long datagrams of one connection may be. The binding has no path MTU discovery, so a path that carries less than was configured swallows every full datagram while short ones,
 * and with them handshakes and pings, come through: the connection would live and its streams hang. What is noticed here is that (RFC 9000 section 14.3, black hole detection):
 * datagrams then become 1350 bytes, and 1200, which every QUIC path carries.
 */
export class PathLimit {
  #bytes = Infinity;
  /** The longest that was sent, and how many long ones. */
  #longest = 0;
  #long = 0;
  #uncounted = 0;
  #timeouts = 0;
  #longAtTimeout = 0;
  #lostBefore = 0;

  /** The longest datagram to send; `Infinity`: what was configured. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A datagram left. */
  sent(bytes: number): void {
    if (bytes <= MIN_DATAGRAM_BYTES) return;
    this.#longest = Math.max(this.#longest, bytes);
    this.#long += 1;
    this.#uncounted += 1;
  }

  /** Whether it is time to count losses. */
  get isDue(): boolean {
    return this.#uncounted >= COUNT_EVERY;
  }

  /** Count losses. @param lost packets lost in the connection's life @returns whether the limit is lower now */
  count(lost: number): boolean {
    this.#uncounted = 0;
    const isSwallowed = this.#long >= MIN_LONG && lost - this.#lostBefore >= this.#long * LOST_SHARE;
    if (isSwallowed) return this.#lower(lost);
    if (this.#long >= WINDOW) this.#restart(lost);
    return false;
  }

  /** quiche's timer ran out. @param lost packets lost in the connection's life @returns whether the limit is lower now */
  timedOut(lost: number): boolean {
    if (this.#long === 0) return false;
    if (this.#long - this.#longAtTimeout > MAX_PROBES) this.#timeouts = 0;
    this.#longAtTimeout = this.#long;
    this.#timeouts += 1;
    return this.#timeouts >= MAX_TIMEOUTS ? this.#lower(lost) : this.count(lost);
  }

  #lower(lost: number): boolean {
    const longest = Math.min(this.#longest, this.#bytes);
    this.#bytes = longest > DEFAULT_DATAGRAM_BYTES ? DEFAULT_DATAGRAM_BYTES : MIN_DATAGRAM_BYTES;
    this.#restart(lost);
    return true;
  }

  #restart(lost: number): void {
    this.#long = 0;
    this.#uncounted = 0;
    this.#timeouts = 0;
    this.#longAtTimeout = 0;
    this.#lostBefore = lost;
  }
}
