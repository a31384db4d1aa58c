import type { Screen } from "./screen.ts";

/** What a step hands back: facts for the JSON, lines for people, and what the next steps need. */
export interface Outcome<T> {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
  readonly value: T;
}

/** A step in the JSON at the end. */
export type StepRecord = Readonly<Record<string, unknown>> & {
  readonly name: string;
  readonly ok: boolean;
  readonly ms: number;
};

/** Runs the steps one after the other, timed, and keeps their records. */
export class Steps {
  readonly records: StepRecord[] = [];
  readonly #screen: Screen;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Run one step. A failure is recorded and rethrown. */
  async run<T>(name: string, doing: string, play: () => Promise<Outcome<T>>): Promise<T> {
    const startedAt = performance.now();
    const elapsed = (): number => Math.round((performance.now() - startedAt) * 10) / 10;
    this.#screen.begin(this.records.length + 1, name, doing);
    try {
      const { facts, lines, value } = await play();
      const ms = elapsed();
      this.records.push({ name, ok: true, ms, ...facts });
      this.#screen.done(ms, lines);
      return value;
    } catch (error) {
      const ms = elapsed();
      this.records.push({ name, ok: false, ms, error: error instanceof Error ? error.message : String(error) });
      this.#screen.failed(ms);
      throw error;
    }
  }
}
