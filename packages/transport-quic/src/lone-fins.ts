import type { NativeConnection } from "./binding.ts";

/** How often a FIN without data is sent while nothing proves that it arrived. */
const COPIES = 5;
/** Rounds after which data counts as acknowledged while nothing proves it: lost as often in a row, under 20 % loss, once in ten million times. */
const DATA_ROUNDS = 10;
/** A round is what quiche takes to notice a loss by later acknowledgements (RFC 9002 section 6.1.2) and to hear of the repetition. */
const RTTS_PER_ROUND = 1.5;
/** What quiche sends of one stream takes a datagram of its own; with many streams and a small window repetitions queue. */
const BYTES_PER_STREAM = 1350;
/** RFC 9000 section 18.2: what a peer may take to acknowledge, by default. */
const MAX_ACK_DELAY_MS = 25;
/** quiche's most urgent: what is repeated of such a stream does not wait for the others' repetitions. */
const URGENT = 0;
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
  /** Rounds in which the peer was heard; in others nothing can have been acknowledged. */
  rounds: number;
  /** When the round is over. */
  dueAt: number;
  /** Bytes the peer had sent when it began. */
  heardBefore: number;
}

/**
 * Ends streams whose last bytes have left already, the one case in which no data can carry the FIN (ADR 0003). quiche then loses it in two ways: a repetition of earlier
 * data takes its turn to be sent, and once all *data* is acknowledged and the peer's end was read the stream is forgotten, a FIN in flight with it. So where the peer's end was read, a FIN waits until nothing is in
 * flight; else it leaves at once, and the peer's end is not read until nothing is in flight. On a connection that is never quiet, patience stands in for proof: it is counted in round trips in which the peer was heard, so that neither a long path nor an outage uses it up.
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
    try {
      this.#native.streamPriority(id, URGENT, true);
    } catch {
      // quiche has forgotten the stream already; sending the FIN will say so.
    }
    const heardBefore = this.#native.stats().recvBytes;
    const dueAt = now + this.#pace().roundMs;
    this.#pending.push({ id, reads, stage: "waiting", copies: 0, packetsBefore: 0, rounds: 0, dueAt, heardBefore });
  }

  /**
   * Go on where something was acknowledged or is due. To be called when quiche has nothing left to send: only then does a missing loss timer mean that
   * nothing is in flight.
   * @param timeoutMs quiche's next timeout
   * @returns `true` where there is something to send now
   */
  step(timeoutMs: number | null, now: number): boolean {
    if (this.#pending.length === 0) return false;
    const { sent: packets, recvBytes } = this.#native.stats();
    const { roundMs, queueRounds } = this.#pace();
    const dataRounds = DATA_ROUNDS + queueRounds;
    const isQuiet = (timeoutMs ?? 0) > this.#idleTimeoutMs / 2;
    let hasSent = false;
    this.#pending = this.#pending.filter((fin) => {
      const isRoundOver = now >= fin.dueAt;
      if (isRoundOver) beginRound(fin, recvBytes, now + roundMs);
      const next = nextStep(fin, { isQuiet, isRoundOver, packets, dataRounds });
      if (next === "wait") return true;
      if (next === "send" && this.#emit(fin, packets)) {
        fin.dueAt = now + roundMs;
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
  sendAll(): boolean {
    let hasSent = false;
    for (const fin of this.#pending) if (fin.stage === "waiting" && this.#emit(fin, 0)) hasSent = true;
    this.#pending = [];
    return hasSent;
  }

  #emit(fin: LoneFin, packets: number): boolean {
    try {
      this.#native.streamSend(fin.id, NOTHING, true);
    } catch {
      // quiche forgot the stream (the FIN was acknowledged, or can't be repaired), or the peer stopped it.
      return false;
    }
    fin.reads?.hold();
    if (fin.stage === "waiting") fin.rounds = 0;
    fin.stage = "sent";
    fin.copies += 1;
    fin.packetsBefore = packets;
    return true;
  }

  /** How long a round is, and how many more it takes until every waiting stream had its turn to be repeated. */
  #pace(): { readonly roundMs: number; readonly queueRounds: number } {
    const path = this.#native.pathStats().find((each) => each.active);
    const windowStreams = Math.max(1, (path?.cwnd ?? 0) / BYTES_PER_STREAM);
    return {
      roundMs: RTTS_PER_ROUND * (path?.rtt ?? 0) + MAX_ACK_DELAY_MS,
      queueRounds: Math.ceil(this.#pending.length / windowStreams),
    };
  }
}

const beginRound = (fin: LoneFin, heardBytes: number, dueAt: number): void => {
  if (heardBytes > fin.heardBefore) fin.rounds += 1;
  fin.heardBefore = heardBytes;
  fin.dueAt = dueAt;
};

interface Moment {
  readonly isQuiet: boolean;
  readonly isRoundOver: boolean;
  /** Packets sent so far. */
  readonly packets: number;
  /** After how many rounds data counts as acknowledged. */
  readonly dataRounds: number;
}

const nextStep = (fin: LoneFin, moment: Moment): "wait" | "send" | "done" => {
  if (fin.stage === "waiting") {
    // While the peer's end is unread, quiche keeps the stream, and repeats its FIN.
    return fin.reads !== undefined || moment.isQuiet || fin.rounds >= moment.dataRounds ? "send" : "wait";
  }
  // Quiet counts only once the FIN has left.
  if (moment.isQuiet && moment.packets > fin.packetsBefore) return "done";
  if (!moment.isRoundOver) return "wait";
  if (fin.copies < COPIES) return "send";
  return fin.rounds >= COPIES ? "done" : "wait";
};
