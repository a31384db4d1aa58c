/** Why a listener refused: one word each, stable, as the metrics show them. */
export type RefusalCounter =
  | "shape"
  | "version"
  | "retry"
  | "token"
  | "reset"
  | "budget"
  | "busy"
  | "handshake"
  | "timeout"
  | "revoked"
  | "expired"
  | "unknown"
  | "denied";

/** Counts refusals by reason. */
export class RefusalCounters {
  readonly #counts = new Map<RefusalCounter, number>();

  /** One more. */
  add(reason: RefusalCounter): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  /** What was counted so far; reasons that never came up are absent. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }
}
