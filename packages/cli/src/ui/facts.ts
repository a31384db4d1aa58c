import type { Terminal } from "./terminal.ts";

/** Print what is known of one thing, a line for each fact: its label, dim, and its value. @param columns the width of the labels */
export function printFacts(
  terminal: Terminal,
  facts: Iterable<readonly [label: string, value: string]>,
  columns: number,
): void {
  for (const [label, value] of facts) {
    terminal.result(`${terminal.tone("dim", label.padEnd(columns), "stdout")}${value}`.trimEnd());
  }
}
