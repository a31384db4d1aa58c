import type { NativeConnection } from "./binding.ts";

/** How often a FIN without data is sent while nothing proves that it arrived. */
const COPIES = 4;
/** RFC 9000 section 18.2: what a peer may take to acknowledge, by default. */
const MAX_ACK_DELAY_MS = 25;
/** 1 + 2 + 4 and one: three probe timeouts in a row, each twice the last, and the acknowledgement. */
const PROBE_TIMEOUTS = 8;
/** On a path with a long queue the wait must end all the same. */
const MAX_WAIT_MS = 1000;
const NOTHING = new Uint8Array(0);

/** Holds back the reading of one stream. */
export interface ReadHold {
  hold(): void;
  release(): void;
}

/** `waiting`: for the stream's data to be acknowledged. `sent`: for the FIN to be. */
interface LoneFin {
  readonly id: number;
  readonly reads: ReadHold | undefined;
  stage: "waiting" | "sent";
  copies: number;
  /** Packets quiche had sent when the last copy was handed to it. */
  packetsBefore: number;
  /** When to go on without proof. */
  dueAt: number;
}

/**
 * Ends streams whose last bytes have left already, the one case in which no data can carry the FIN (ADR 0003). quiche then loses it in two ways: a repetition of earlier
 * data takes its turn to be sent, and once all *data* is acknowledged and the peer's end was read the stream is forgotten, a FIN in flight with it. So a FIN waits until nothing is in
 * flight, travels alone, and the peer's end is not read until nothing is in flight again. On a connection that is never quiet, patience stands in for proof.
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

  /** End a stream. @param reads `undefined` where the peer's end was read already @param now of `performance.now()` */
  add(id: number, reads: ReadHold | undefined, now: number): void {
    const dueAt = now + Math.min(PROBE_TIMEOUTS * (3 * this.#rttMs() + MAX_ACK_DELAY_MS), MAX_WAIT_MS);
    this.#pending.push({ id, reads, stage: "waiting", copies: 0, packetsBefore: 0, dueAt });
  }

  /**
   * Go on where something was acknowledged or is due. To be called when quiche has nothing left to send: only then does a missing loss timer mean that
   * nothing is in flight.
   * @param timeoutMs quiche's next timeout
   * @returns `true` where there is something to send now
   */
  step(timeoutMs: number | null, now: number): boolean {
    if (this.#pending.length === 0) return false;
    const isQuiet = (timeoutMs ?? 0) > this.#idleTimeoutMs / 2;
    const packets = this.#native.stats().sent;
    let hasSent = false;
    this.#pending = this.#pending.filter((fin) => {
      const next = nextStep(fin, { isQuiet, packets, now });
      if (next === "wait") return true;
      if (next === "send" && this.#emit(fin, packets, now)) {
        hasSent = true;
        return true;
      }
      fin.reads?.release();
      return false;
    });
    return hasSent;
  }

  /** When `step` has to be called again at the latest, `Infinity` where nothing is pending. */
  dueAt(): number {
    return this.#pending.reduce((next, fin) => Math.min(next, fin.dueAt), Infinity);
  }

  /** The connection is about to be closed: no more waiting. @returns `true` where there is something to send now */
  sendAll(now: number): boolean {
    let hasSent = false;
    for (const fin of this.#pending) if (fin.stage === "waiting" && this.#emit(fin, 0, now)) hasSent = true;
    this.#pending = [];
    return hasSent;
  }

  #emit(fin: LoneFin, packets: number, now: number): boolean {
    try {
      this.#native.streamSend(fin.id, NOTHING, true);
    } catch {
      // quiche forgot the stream (the FIN was acknowledged, or can't be repaired), or the peer stopped it.
      return false;
    }
    fin.reads?.hold();
    fin.stage = "sent";
    fin.copies += 1;
    fin.packetsBefore = packets;
    fin.dueAt = now + Math.min(3 * this.#rttMs() + 2 * MAX_ACK_DELAY_MS, MAX_WAIT_MS);
    return true;
  }

  #rttMs(): number {
    return this.#native.pathStats().find((path) => path.active)?.rtt ?? 0;
  }
}

interface Moment {
  readonly isQuiet: boolean;
  /** Packets sent so far. */
  readonly packets: number;
  readonly now: number;
}

const nextStep = (fin: LoneFin, moment: Moment): "wait" | "send" | "done" => {
  const isDue = moment.now >= fin.dueAt;
  if (fin.stage === "waiting") return moment.isQuiet || isDue ? "send" : "wait";
  // Quiet counts only once the FIN has left.
  if (moment.isQuiet && moment.packets > fin.packetsBefore) return "done";
  if (!isDue) return "wait";
  return fin.copies < COPIES ? "send" : "done";
};
