import type { HostPort } from "./binding.ts";

/** The least time an answer is waited for: a peer may hold acknowledgements back for as long (RFC 9000 section 18.2). */
const MIN_PATIENCE_MS = 25;
const RTTS_OF_PATIENCE = 2;
/** With the pauses doubled each time, they end after some six seconds; quiche goes on by itself. */
const MAX_ASKS = 8;
/** Times the patience. */
const DEFERRED_BY = 4;

/** A challenge on a path of quiche's that is repeated, ever more rarely. */
export class PathQuestion {
  /** The path, as quiche calls its address. */
  readonly name: HostPort;
  #asks = 0;
  #isDeferred = false;
  #dueAtMs = -Infinity;

  constructor(name: HostPort) {
    this.name = name;
  }

  /** Whether it was asked more than once, so that one that was lost may still wait for an answer. */
  get isRepeated(): boolean {
    return this.#asks > 1;
  }

  /** Wait a while before the first time. */
  defer(): this {
    this.#isDeferred = true;
    return this;
  }

  /** It was answered. */
  stop(): void {
    this.#dueAtMs = Infinity;
  }

  /** When it is to be asked next; `Infinity`: never. */
  get dueAtMs(): number {
    return this.#dueAtMs;
  }

  /** Whether it is to be asked now. @param nowMs of any steady clock @param rttMs of where the peer was */
  ask(nowMs: number, rttMs: number): boolean {
    if (nowMs < this.#dueAtMs || this.#dueAtMs === Infinity) return false;
    const patienceMs = Math.max(MIN_PATIENCE_MS, RTTS_OF_PATIENCE * rttMs);
    if (this.#isDeferred) {
      this.#isDeferred = false;
      this.#dueAtMs = nowMs + DEFERRED_BY * patienceMs;
      return false;
    }
    this.#dueAtMs = this.#asks + 1 < MAX_ASKS ? nowMs + patienceMs * 2 ** this.#asks : Infinity;
    this.#asks += 1;
    return true;
  }
}
