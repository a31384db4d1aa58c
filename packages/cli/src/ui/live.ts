import type { Terminal } from "./terminal.ts";
import { widthOf } from "./terminal.ts";

/**
 * A few lines at the bottom of the terminal that are redrawn in place; what is printed goes above them. In a pipe nothing
 * is redrawn: only what is printed comes out.
 */
export class LiveLines implements Disposable {
  readonly #terminal: Terminal;
  #shown: readonly string[] = [];

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Show these lines instead of the last ones. Lines wider than the screen are the caller's mistake and would wrap. */
  show(lines: readonly string[]): void {
    if (!this.#terminal.live) return;
    if (lines.length === this.#shown.length && lines.every((line, index) => line === this.#shown[index])) return;
    this.#terminal.streams.stderr.write(this.#erase() + lines.map((line) => `${line}\n`).join(""));
    this.#shown = lines;
  }

  /** Print a line for good, above the live ones. */
  print(line: string): void {
    this.#terminal.streams.stderr.write(
      `${this.#erase()}${line}\n${this.#shown.map((shown) => `${shown}\n`).join("")}`,
    );
  }

  /** Take the live lines away. */
  clear(): void {
    this.show([]);
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  #erase(): string {
    if (this.#shown.length === 0) return "";
    const columns = this.#terminal.columns;
    // A resize may have wrapped what was drawn.
    const rows = this.#shown.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / columns)), 0);
    return `\u001B[${rows}A\u001B[0J`;
  }
}

/** `████████░░░░`, `columns` wide. */
export function bar(fraction: number, columns: number): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * columns);
  return "█".repeat(full) + "░".repeat(columns - full);
}
