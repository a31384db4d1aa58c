/** What a machine answers to an input: where it is now, and what its shell must do, in order. */
export interface Step<S, E> {
  readonly state: S;
  readonly effects: readonly E[];
}

/** A step without effects. */
export function stay<S>(state: S): Step<S, never> {
  return { state, effects: [] };
}
