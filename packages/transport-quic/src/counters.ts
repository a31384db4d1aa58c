/** Counts by reason. */
export class Counters<Reason extends string> {
  readonly #counts = new Map<Reason, number>();

  /** One more. */
  add(reason: Reason): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  /** What was counted so far; reasons that never came up are absent. */
  snapshot(): Readonly<Partial<Record<Reason, number>>> {
    const counts: Partial<Record<Reason, number>> = {};
    for (const [reason, count] of this.#counts) counts[reason] = count;
    return counts;
  }
}
