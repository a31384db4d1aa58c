import { wrap } from "../report.ts";
import { count, fit, span } from "../ui/format.ts";
import { bar, LiveLines } from "../ui/live.ts";
import type { Terminal } from "../ui/terminal.ts";

const NAME_COLUMNS = 7;
/** Where the text begins: number, name, mark, time. */
const TEXT_COLUMN = NAME_COLUMNS + 14;
const TIME_COLUMNS = 7;
const BAR_COLUMNS = 24;

/** How a step went, for people: a line while it runs, one or more when it is over. */
export class Screen implements Disposable {
  readonly #terminal: Terminal;
  readonly #live: LiveLines;
  #step = { number: 0, name: "" };

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#live = new LiveLines(terminal);
  }

  /** Say something that belongs to no step. */
  say(line: string): void {
    this.#live.print(line);
  }

  /** A step begins. */
  begin(number: number, name: string, doing: string): void {
    this.#step = { number, name };
    this.doing(doing);
  }

  /** What the step is doing now; a pipe is not told. */
  doing(what: string): void {
    this.#live.show([fit(`${this.#head()} … ${what}`, this.#terminal.columns - 1)]);
  }

  /** How far the step is, in `of` things. */
  progress(done: number, of: number, what: string): void {
    const share = `${Math.floor((100 * done) / of)} %`.padStart(5);
    const line = `${this.#head()} ${bar(done / of, BAR_COLUMNS)} ${share}  ${count(done)} of ${count(of)} ${what}`;
    this.#live.show([fit(line, this.#terminal.columns - 1)]);
  }

  /** A line worth keeping while the step runs. */
  note(line: string): void {
    this.#live.print(fit(`${" ".repeat(NAME_COLUMNS + 3)}│ ${line}`, this.#terminal.columns - 1));
  }

  /** The step is over, well. */
  done(ms: number, lines: readonly string[]): void {
    this.#live.clear();
    const [first = "", ...rest] = lines.flatMap((line) => wrap(line, this.#terminal.columns - TEXT_COLUMN - 1));
    const time = span(ms).padStart(TIME_COLUMNS);
    this.#live.print(`${this.#head()} ${this.#terminal.tone("green", "✓")} ${time}  ${first}`);
    for (const line of rest) this.#live.print(`${" ".repeat(TEXT_COLUMN)}${line}`);
  }

  /** The step failed; the error is told elsewhere. */
  failed(ms: number): void {
    this.#live.clear();
    this.#live.print(`${this.#head()} ${this.#terminal.tone("red", "✗")} ${span(ms).padStart(TIME_COLUMNS)}`);
  }

  [Symbol.dispose](): void {
    this.#live.clear();
  }

  #head(): string {
    return `${this.#step.number} ${this.#step.name.padEnd(NAME_COLUMNS)}`;
  }
}
