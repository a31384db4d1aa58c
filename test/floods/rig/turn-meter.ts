/** The CPU time of each turn of this thread's event loop. */
export class TurnMeter {
  readonly #datagrams: () => number;
  #before = process.threadCpuUsage();
  #datagramsBefore = 0;
  #longestMs = 0;
  #longestDatagrams = 0;

  /** @param datagrams how many came in so far */
  constructor(datagrams: () => number) {
    this.#datagrams = datagrams;
    this.#again();
  }

  /** The longest turn since the last call. */
  take(): { longestTurnMs: number; longestTurnDatagrams: number } {
    const taken = { longestTurnMs: this.#longestMs, longestTurnDatagrams: this.#longestDatagrams };
    this.#longestMs = 0;
    // What the caller does in this turn is not the gateway's.
    this.#before = process.threadCpuUsage();
    return taken;
  }

  // An immediate that holds nothing up runs once a turn and lets the loop sleep; time asleep or descheduled is no CPU time.
  #again(): void {
    setImmediate(this.#turn).unref();
  }

  readonly #turn = (): void => {
    const { user, system } = process.threadCpuUsage(this.#before);
    const datagrams = this.#datagrams();
    const ms = (user + system) / 1000;
    if (ms > this.#longestMs) {
      this.#longestMs = ms;
      this.#longestDatagrams = datagrams - this.#datagramsBefore;
    }
    this.#datagramsBefore = datagrams;
    this.#before = process.threadCpuUsage();
    this.#again();
  };
}
