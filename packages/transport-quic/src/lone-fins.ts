import type { NativeConnection } from "./binding.ts";

/** How often a FIN without data is sent, as long as quiche knows the stream. */
const COPIES = 3;
/** RFC 9000 section 18.2: what a peer may take to acknowledge, by default. */
const MAX_ACK_DELAY_MS = 25;
const NOTHING = new Uint8Array(0);

interface LoneFin {
  readonly id: number;
  sent: number;
  /** When to go on even where nothing proves that the stream's data was acknowledged. */
  dueAt: number;
}

/**
 * Ends streams whose last bytes have left already, the one case in which no data can carry the FIN. quiche forgets a stream, and a FIN in flight with
 * it, once the peer has ended its side and all *data* is acknowledged. So where the peer has ended, the FIN waits until nothing is in flight,
 * or for some round trips; and copies follow while quiche still knows the stream (ADR 0003).
 */
export class LoneFins {
  readonly #native: NativeConnection;
  readonly #idleTimeoutMs: number;
  #pending: LoneFin[] = [];

  /** @param idleTimeoutMs ours; the peer's may be shorter, which only makes the wait longer */
  constructor(native: NativeConnection, idleTimeoutMs: number) {
    this.#native = native;
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  /** Whether any FIN or copy is still to be sent. */
  get isIdle(): boolean {
    return this.#pending.length === 0;
  }

  /** End a stream. @param peerHasEnded whether its other direction is over @param now of `performance.now()` */
  add(id: number, peerHasEnded: boolean, now: number): void {
    const fin: LoneFin = { id, sent: 0, dueAt: now + this.#settleMs() };
    // While the peer's side is open quiche keeps the stream, and repairs the loss of its FIN.
    if (peerHasEnded && !this.#isQuiet()) this.#pending.push(fin);
    else if (this.#emit(fin)) this.#pending.push(fin);
  }

  /** Send what is due. @returns when to be called again at the latest, `Infinity` where nothing is pending */
  step(now: number): number {
    if (this.#pending.length === 0) return Infinity;
    const isQuiet = this.#isQuiet();
    this.#pending = this.#pending.filter((fin) => {
      const isDue = now >= fin.dueAt || (isQuiet && fin.sent === 0);
      if (!isDue) return true;
      fin.dueAt = now + this.#settleMs() * (1 + fin.sent);
      return this.#emit(fin);
    });
    return this.#pending.reduce((next, fin) => Math.min(next, fin.dueAt), Infinity);
  }

  /** The connection is about to be closed: no more waiting. */
  sendAll(): void {
    for (const fin of this.#pending) if (fin.sent === 0) this.#emit(fin);
    this.#pending = [];
  }

  // `false`: nothing more can be done for this stream.
  #emit(fin: LoneFin): boolean {
    try {
      this.#native.streamSend(fin.id, NOTHING, true);
    } catch {
      // quiche forgot the stream (the FIN was acknowledged, or can't be repaired), or the peer stopped it.
      return false;
    }
    fin.sent += 1;
    return fin.sent < COPIES;
  }

  #settleMs(): number {
    const active = this.#native.pathStats().find((path) => path.active);
    return 3 * (active?.rtt ?? 0) + 2 * MAX_ACK_DELAY_MS;
  }

  // With nothing in flight quiche runs no loss timer, so the next timeout is the idle one.
  #isQuiet(): boolean {
    return (this.#native.timeout() ?? 0) > this.#idleTimeoutMs / 2;
  }
}
