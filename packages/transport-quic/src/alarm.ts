/** Milliseconds that a timer may fire early without harm. */
export const TIMER_SLACK_MS = 1;

/** A timer whose deadline moves all the time: once a packet, for every connection. */
export class Alarm {
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | undefined;
  #setFor = Infinity;

  /** @param ring called at a deadline or before; it asks for the next with {@link Alarm.ringBy} */
  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /**
   * Ring at this time of `performance.now()`, or before; `Infinity`: no need to. Set anew only when it moves earlier: most packets push the deadline out, and a timer that fires early costs
   * less than one set per packet.
   */
  ringBy(deadline: number): void {
    if (deadline >= this.#setFor - TIMER_SLACK_MS) return;
    clearTimeout(this.#timer);
    this.#setFor = deadline;
    this.#timer = setTimeout(this.#fire, Math.max(0, deadline - performance.now()));
  }

  /** Ring no more. */
  cancel(): void {
    clearTimeout(this.#timer);
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    this.#setFor = Infinity;
    this.#ring();
  };
}
