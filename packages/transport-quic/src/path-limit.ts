import { DEFAULT_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES } from "./options.ts";

/** Loss timers that ran out one after the other with nothing heard between: three probes, as RFC 8899 section 5.1.2 has it. */
const MAX_SILENT_TIMEOUTS = 3;
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
  #long = 0;
  #silentTimeouts = 0;
  #lostBefore = 0;

  /** The longest datagram to send; `Infinity`: what was configured. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A datagram left. */
  sent(bytes: number): void {
    if (bytes > MIN_DATAGRAM_BYTES) this.#long += 1;
  }

  /** A datagram came in. */
  heard(): void {
    this.#silentTimeouts = 0;
  }

  /** quiche's timer ran out. @param lost packets lost in the connection's life @returns whether the limit is lower now */
  timedOut(lost: number): boolean {
    if (this.#long === 0) return false;
    this.#silentTimeouts += 1;
    const lostNow = lost - this.#lostBefore;
    const isSilent = this.#silentTimeouts >= MAX_SILENT_TIMEOUTS;
    const isSwallowed = this.#long >= MIN_LONG && lostNow >= this.#long * LOST_SHARE;
    if (isSilent || isSwallowed) {
      this.#bytes = this.#bytes > DEFAULT_DATAGRAM_BYTES ? DEFAULT_DATAGRAM_BYTES : MIN_DATAGRAM_BYTES;
      this.#restart(lost);
      return true;
    }
    if (this.#long >= WINDOW) this.#restart(lost);
    return false;
  }

  #restart(lost: number): void {
    this.#long = 0;
    this.#silentTimeouts = 0;
    this.#lostBefore = lost;
  }
}
