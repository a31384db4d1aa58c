import type { QrMatrix } from "./code.ts";

/** Light modules around the code. The standard says 4; on a screen phones read 2, and the code then leaves room for text at 80 x 24. */
export const QUIET_MODULES = 2;

/** Black on white whatever the terminal's theme is: the 256-colour cube, which themes leave alone. */
const BLACK_ON_WHITE = "\u001B[38;5;16;48;5;231m";
const RESET = "\u001B[0m";

/**
 * How light and dark modules look. `coloured`: black on white by escape sequences. `light-blocks`: light modules are
 * drawn, for a dark screen without colour. `dark-blocks`: dark modules are drawn, for a light screen or paper.
 */
export type QrLook = "coloured" | "light-blocks" | "dark-blocks";

/**
 * Draw a code in half blocks: two modules a character cell, `ceil((size + 4) / 2)` rows of `size + 4` columns.
 */
export function qrRows(matrix: QrMatrix, look: QrLook): readonly string[] {
  const last = matrix.size + QUIET_MODULES;
  const isDark = (row: number, column: number): boolean =>
    row >= 0 && row < matrix.size && column >= 0 && column < matrix.size && matrix.dark(row, column);
  const drawn = look === "light-blocks" ? (dark: boolean) => !dark : (dark: boolean) => dark;
  const rows: string[] = [];
  for (let row = -QUIET_MODULES; row < last; row += 2) {
    let line = "";
    for (let column = -QUIET_MODULES; column < last; column += 1) {
      line += cell(drawn(isDark(row, column)), drawn(isDark(row + 1, column)));
    }
    rows.push(look === "coloured" ? `${BLACK_ON_WHITE}${line}${RESET}` : line);
  }
  return rows;
}

function cell(upper: boolean, lower: boolean): string {
  if (upper) return lower ? "█" : "▀";
  return lower ? "▄" : " ";
}
