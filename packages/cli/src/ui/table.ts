import { fit } from "./format.ts";
import { widthOf } from "./terminal.ts";

/** A column: its heading, and whether it may be cut when the screen is narrow. */
export interface Column {
  readonly heading: string;
  /** Cut first, the widest of these, down to {@link NARROWEST}. */
  readonly elastic?: boolean;
  readonly right?: boolean;
}

const GAP = "  ";
const NARROWEST = 6;

/**
 * Lay out rows under headings, no borders, at most `columns` wide.
 * @param rows cells of plain text, one for each column
 * @param paint stresses a cell after its width is known
 */
export function table(
  head: readonly Column[],
  rows: readonly (readonly string[])[],
  columns: number,
  paint: (cell: string, row: number, column: number) => string = (cell) => cell,
): readonly string[] {
  const widths = widthsFor(head, rows, columns);
  const line = (cells: readonly string[], row: number): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        const text = fit(cell, width);
        const space = " ".repeat(Math.max(0, width - widthOf(text)));
        const painted = row < 0 ? text : paint(text, row, column);
        return head[column]?.right === true ? space + painted : painted + space;
      })
      .join(GAP)
      .trimEnd();
  return [
    line(
      head.map((column) => column.heading),
      -1,
    ),
    ...rows.map((cells, row) => line(cells, row)),
  ];
}

function widthsFor(head: readonly Column[], rows: readonly (readonly string[])[], columns: number): number[] {
  const widths = head.map((column, index) =>
    Math.max(widthOf(column.heading), ...rows.map((cells) => widthOf(cells[index] ?? ""))),
  );
  const room = columns - GAP.length * (head.length - 1);
  for (let excess = total(widths) - room; excess > 0; excess -= 1) {
    const widest = widestElastic(head, widths);
    if (widest === undefined) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function widestElastic(head: readonly Column[], widths: readonly number[]): number | undefined {
  let widest: number | undefined;
  for (const [index, column] of head.entries()) {
    const width = widths[index] ?? 0;
    if (column.elastic !== true || width <= NARROWEST) continue;
    if (widest === undefined || width > (widths[widest] ?? 0)) widest = index;
  }
  return widest;
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 0);
}
