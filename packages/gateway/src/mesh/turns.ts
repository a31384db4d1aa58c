/** What every node is to do at the same time, in turns: a mesh of ten thousand that renews, or connects anew, in one moment keeps its gateway from everything else. */
import type { Clock } from "../clock.ts";

/** From one turn to the next: fifty nodes a second, ten thousand within four minutes, and a small mesh at once. */
export const TURN_MS = 20;
/**
 * The same for what costs a node no more than a write to its disk: a thousand within ten seconds, of which the gateway's work is a hundredth. One node that knows is enough for a gateway that was put back to be found out;
 * told one a millisecond, they doubled what the next revocation took.
 */
const SHORT_TURN_MS = 10;

/** What {@link Turns} takes. */
interface TurnsOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Lets one after the other begin, at a pace. Nobody waits where nobody came shortly before. */
export class Turns<Who extends object> {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #turnMs: number;
  /** In the order in which they came. */
  readonly #waiting = new Map<Who, () => boolean>();
  #freeAt = -Infinity;
  #cancel: (() => void) | undefined;

  /** @param options.signal nobody begins any more once it has aborted */
  constructor({ clock, signal }: TurnsOptions, turnMs: number = TURN_MS) {
    this.#clock = clock;
    this.#signal = signal;
    this.#turnMs = turnMs;
    signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  /**
   * Begin now, or when it is its turn. Who waits already keeps that turn, for what it was to do last.
   * @param begin says whether there was still something to do: a turn that was not needed is the next one's
   */
  take(who: Who, begin: () => boolean): void {
    if (this.#signal.aborted) return;
    this.#waiting.set(who, begin);
    if (this.#cancel === undefined) this.#next();
  }

  #next(): void {
    for (const [who, begin] of this.#waiting) {
      const waitMs = this.#freeAt - this.#clock.monotonicMs();
      if (waitMs > 0) return this.#wait(waitMs);
      this.#waiting.delete(who);
      if (begin()) this.#freeAt = this.#clock.monotonicMs() + this.#turnMs;
    }
  }

  #wait(ms: number): void {
    this.#cancel = this.#clock.after(ms, () => {
      this.#cancel = undefined;
      this.#next();
    });
  }

  #stop(): void {
    this.#cancel?.();
    this.#waiting.clear();
  }
}

/** The turns that a gateway has its nodes take, each kind at a pace of its own. */
export interface MeshTurns<Who extends object> {
  /** To hear news. */
  readonly tell: Turns<Who>;
  /** To take another certificate, and connect with it. */
  readonly renew: Turns<Who>;
  /** To begin another session. */
  readonly end: Turns<Who>;
  /** To hear how far the store has come. */
  readonly checkpoint: Turns<Who>;
}

/** Nobody waits yet. */
export function meshTurns<Who extends object>(options: TurnsOptions): MeshTurns<Who> {
  return {
    tell: new Turns(options),
    renew: new Turns(options),
    end: new Turns(options),
    checkpoint: new Turns(options, SHORT_TURN_MS),
  };
}
