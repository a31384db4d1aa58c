import { reaches, type Result, type ResultRow } from "./report.ts";
import { OURS } from "./suite.ts";

const FIRST_COLUMN = 20;
const MAX_COLUMN = 20;
const WIDTH = 80;

/** A result for people: 80 columns as long as a row has at most three systems, no colour needed. */
export function formatTable(result: Result): string {
  const systems = [OURS, ...new Set(result.rows.flatMap((row) => Object.keys(row.peers)))];
  const column = Math.min(MAX_COLUMN, Math.floor((WIDTH - FIRST_COLUMN) / systems.length));
  const line = (first: string, cells: readonly string[]) =>
    (first.padEnd(FIRST_COLUMN) + cells.map((cell) => cell.padEnd(column)).join("")).trimEnd();
  const { machine, reps, rounds } = result;
  const head = `${result.suite}: median (lowest-highest) of ${String(reps * rounds)}, on ${machine.os}, ${String(machine.cores)} cores, Node ${machine.node}`;
  const lines = [head, "", line("", systems), "-".repeat(WIDTH)];
  for (const row of result.rows) {
    lines.push(
      line(
        `${row.work}, ${row.unit}`,
        systems.map((system) => valueCell(row, system)),
      ),
    );
    for (const [name, figures] of Object.entries(row.extra)) {
      lines.push(
        line(
          `  ${name}`,
          systems.map((system) => shown(figures[system])),
        ),
      );
    }
    lines.push(
      line(
        `  ${row.better} is better`,
        systems.map((system) => ratioCell(row, system)),
      ),
    );
  }
  return [...lines, "", ...footer(result)].join("\n");
}

function valueCell(row: ResultRow, system: string): string {
  const value = system === OURS ? row.ours : row.peers[system];
  const [lowest, highest] = row.ranges[system] ?? [Number.NaN, Number.NaN];
  if (value === undefined) return "-";
  return lowest === highest ? shown(value) : `${shown(value)} (${shown(lowest)}-${shown(highest)})`;
}

/** Ours to the peer beside what is wanted: `0.35x ok <=0.4`. */
function ratioCell(row: ResultRow, peer: string): string {
  const ratio = row.ratios[peer];
  if (ratio === undefined) return "";
  const wanted = row.goal[peer];
  const times = `${ratio.toFixed(2)}x`;
  if (wanted === undefined) return times;
  const sign = row.better === "lower" ? "<=" : ">=";
  return `${times} ${reaches(row, ratio, wanted) ? "ok" : "MISSED"} ${sign}${String(wanted)}`;
}

function footer(result: Result): readonly string[] {
  const judged = result.rows.filter((row) => row.met !== null);
  const missed = judged.filter((row) => row.met === false).map((row) => row.work);
  const goals = `${String(judged.length - missed.length)} of ${String(judged.length)} rows reach their goals`;
  return [
    "Ratios are ours to the peer's. docs/bench.md says what each row does.",
    ...(missed.length === 0 ? [`${goals}.`] : [`${goals}. Missed:`, `  ${missed.join(", ")}`]),
    ...(result.quick ? ["A quick run: it shows that everything works, not how fast it is."] : []),
  ];
}

/** At most three significant digits, thousands as `k`, millions as `M`. */
function shown(value: number | undefined): string {
  if (value === undefined) return "-";
  if (!Number.isFinite(value)) return String(value);
  if (value >= 999_500) return `${digits(value / 1e6)}M`;
  if (value >= 9_995) return `${digits(value / 1e3)}k`;
  return digits(value);
}

function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}
