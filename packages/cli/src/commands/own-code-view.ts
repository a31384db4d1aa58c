import { encodeQr } from "../qr/code.ts";
import { QUIET_MODULES, qrRows } from "../qr/text.ts";
import type { Terminal } from "../ui/terminal.ts";

/** A node's own code, for its screen or its log: the picture, and what an operator runs with it. */
export function ownCodeLines(terminal: Terminal, code: string, invert: boolean): readonly string[] {
  const matrix = encodeQr(code);
  const look = terminal.colour ? "coloured" : invert ? "dark-blocks" : "light-blocks";
  const fits = matrix.size + 2 * QUIET_MODULES <= terminal.columns;
  return [
    ...(fits ? qrRows(matrix, look) : []),
    "To pair this machine, an operator scans the code, or on the gateway runs",
    "  quaymesh pair -",
    "and pastes",
    `  ${code}`,
  ];
}
