/**
 * What operators ask for begins in turns: of ten thousand calls that a program makes at once each costs a fraction of a millisecond, and begun in the moment in which they come they
 * keep every node waiting for seconds.
 */

/** Begins one call in a turn of the event loop, of each connection in its turn: a flood waits for itself, and neither nodes nor other operators wait for it. */
export class CallTurns {
  /** What waits, by connection. The first is next; who has more to begin goes to the end. */
  readonly #lanes = new Map<object, (() => void)[]>();
  /** One has begun in this turn already. */
  #turning = false;

  /** Begin now where nobody has in this turn, or else in the next one that is this connection's. */
  take(connection: object, begin: () => void): void {
    if (!this.#turning) {
      this.#turning = true;
      setImmediate(this.#turn);
      return begin();
    }
    const lane = this.#lanes.get(connection);
    if (lane === undefined) this.#lanes.set(connection, [begin]);
    else lane.push(begin);
  }

  readonly #turn = (): void => {
    const [next] = this.#lanes;
    this.#turning = next !== undefined;
    if (next === undefined) return;
    // Before the call: the others have their turns even if it throws.
    setImmediate(this.#turn);
    const [connection, lane] = next;
    const begin = lane.shift();
    this.#lanes.delete(connection);
    if (lane.length > 0) this.#lanes.set(connection, lane);
    begin?.();
  };
}
