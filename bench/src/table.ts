import { reaches, type Result, type ResultRow } from "./report.ts";
import type { Failure } from "./run.ts";
import { OURS } from "./suite.ts";

const WIDTH = 80;
const GAP = "  ";
const INDENT = "  ";

/** A result for people: a block for each row, a line in it for each system. 80 columns as long as a row has at most four further figures; no colour needed. */
export function formatTable(result: Result): string {
  const { machine, reps, rounds, settings } = result;
  const samples = reps * rounds;
  const where = `${machine.os}, ${String(machine.cores)} cores, Node ${machine.node}`;
  const what = samples === 1 ? "one sample" : `median (lowest-highest) of ${String(samples)}`;
  const set = Object.entries(settings).map(([name, value]) => `${name}: ${String(value)}`);
  const lines = [`${result.suite}: ${what}, on ${where}`, ...(set.length === 0 ? [] : [set.join(", ")])];
  for (const row of result.rows) lines.push("", ...block(row, result, samples > 1));
  return [...lines, "", "-".repeat(WIDTH), ...footer(result)].join("\n");
}

function block(row: ResultRow, result: Result, isRepeated: boolean): string[] {
  const names = [OURS, ...Object.keys(row.peers)];
  const extras = Object.entries(row.extra);
  const head = ["", isRepeated ? "median" : "value", ...(isRepeated ? ["range"] : []), ...extras.map(([name]) => name)];
  const figures = names.map((system) => [
    system,
    shown(system === OURS ? row.ours : row.peers[system]),
    ...(isRepeated ? [rangeCell(row, system)] : []),
    ...extras.map(([, bySystem]) => shown(bySystem[system])),
  ]);
  const widths = head.map((cell, index) => Math.max(cell.length, ...figures.map((line) => line[index]?.length ?? 0)));
  const laid = (cells: readonly string[], verdict: string) => {
    const padded = cells.map((cell, index) =>
      index === 0 ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0),
    );
    return `${INDENT}${[...padded, verdict].join(GAP)}`.trimEnd();
  };
  const failed = result.failures.filter(({ work }) => work === row.work);
  return [
    `${row.work}, ${row.unit}: ${row.better} is better`,
    laid(head, ""),
    ...figures.map((cells, index) => laid(cells, verdictOf(row, names[index] ?? OURS))),
    ...failed.flatMap((failure) => failureLines(failure, row)),
  ];
}

function rangeCell(row: ResultRow, system: string): string {
  const [lowest, highest] = row.ranges[system] ?? [Number.NaN, Number.NaN];
  return `${shown(lowest)}-${shown(highest)}`;
}

/** Beside a peer ours to it and what is wanted, `0.35x ok <=0.4`; beside ours what is wanted of it alone. */
function verdictOf(row: ResultRow, system: string): string {
  const sign = row.better === "lower" ? "<=" : ">=";
  const judged = (figure: number, wanted: number) =>
    `${reaches(row, figure, wanted) ? "ok" : "MISSED"} ${sign}${String(wanted)}`;
  if (system === OURS) return row.bound === null ? "" : judged(row.ours, row.bound);
  const ratio = row.ratios[system];
  if (ratio === undefined) return "";
  const wanted = row.goal[system];
  const times = `${ratio < 10 ? ratio.toFixed(2) : digits(ratio)}x`;
  return wanted === undefined ? times : `${times} ${judged(ratio, wanted)}`;
}

function failureLines({ system, rep, message }: Failure, row: ResultRow): string[] {
  const what = row.peers[system] === undefined ? "FAILED" : `failed in repetition ${String(rep)}, figures before it`;
  return wrapped(`${system}  ${what}: ${message}`).map((line) => `${INDENT}${line}`);
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (let rest = text; rest.length > 0;) {
    const room = WIDTH - INDENT.length;
    const space = rest.lastIndexOf(" ", room);
    const cut = rest.length <= room ? rest.length : space > 0 ? space : room;
    lines.push(rest.slice(0, cut));
    rest = rest.slice(cut).trimStart();
  }
  return lines;
}

function footer(result: Result): readonly string[] {
  const judged = result.rows.filter((row) => row.met !== null);
  const missed = judged.filter((row) => row.met === false).map((row) => row.work);
  const goals = `${String(judged.length - missed.length)} of ${String(judged.length)} rows reach their goals`;
  return [
    "0.50x: ours is half of the peer's. docs/bench.md says what each row does.",
    ...(missed.length === 0
      ? [`${goals}.`]
      : [`${goals}. Missed:`, ...wrapped(missed.join(", ")).map((line) => `${INDENT}${line}`)]),
    ...(result.quick ? ["A quick run: it shows that everything works, not how fast it is."] : []),
  ];
}

/** At most three significant digits, thousands as `k`, millions as `M`. */
function shown(value: number | undefined): string {
  if (value === undefined) return "-";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 999_500) return `${digits(value / 1e6)}M`;
  if (size >= 9_995) return `${digits(value / 1e3)}k`;
  return digits(value);
}

function digits(value: number): string {
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}
