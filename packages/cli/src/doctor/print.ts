/** Findings as people and programs read them. */
import { worstFinding, type Finding, type FindingVerdict } from "@quaymesh/protocol/core";
import { EXIT_DONE, EXIT_WARNING, exitFor } from "../exit-codes.ts";
import { wrap } from "../report.ts";
import { fit, printable } from "../ui/format.ts";
import type { Terminal, Tone } from "../ui/terminal.ts";

/** Widest name of a check, and the mark before it. */
const NAME_COLUMNS = 13;
const INDENT = 2 + NAME_COLUMNS;

const MARKS: Readonly<Record<FindingVerdict, readonly [mark: string, tone: Tone]>> = {
  ok: ["✓", "green"],
  warning: ["!", "yellow"],
  failed: ["✗", "red"],
  skipped: ["-", "dim"],
};

/** The exit code of an examination: that of the worst finding. */
export function exitOf(findings: readonly Finding[]): number {
  const worst = worstFinding(findings);
  if (worst === undefined) return EXIT_DONE;
  return worst.verdict === "warning" ? EXIT_WARNING : exitFor(worst.code ?? "");
}

/** One finding: a line, and where something is wrong what to do, below it. */
export function findingLines(terminal: Terminal, finding: Finding): readonly string[] {
  const { check, verdict, seen, fix = "", code } = finding;
  const [mark, tone] = MARKS[verdict];
  const head = `${terminal.tone(tone, mark, "stdout")} ${check.padEnd(NAME_COLUMNS)}`;
  const width = Math.min(terminal.columns, 100) - INDENT;
  const text = printable(seen);
  if (verdict === "ok" || verdict === "skipped") return [`${head}${fit(text, width)}`];
  const tagged = code === undefined ? text : `${text} (${code})`;
  const steps = fix.split("\n").filter((step) => step !== "");
  const lines = [
    ...wrap(tagged, width),
    ...steps.flatMap((step) => wrap(printable(step), width - 2).map((line, at) => `${at === 0 ? "> " : "  "}${line}`)),
  ];
  return lines.map((line, at) => (at === 0 ? `${head}${line}` : `${" ".repeat(INDENT)}${line}`));
}

/** The last line: how many of each. */
export function summaryLine(terminal: Terminal, findings: readonly Finding[], exit: number): string {
  const of = (verdict: FindingVerdict): number => findings.filter((finding) => finding.verdict === verdict).length;
  const parts = [
    of("failed") > 0 && `${of("failed")} failed`,
    of("warning") > 0 && `${of("warning")} to look at`,
    of("skipped") > 0 && `${of("skipped")} skipped`,
    `${of("ok")} fine`,
  ].filter((part) => part !== false);
  const tone: Tone = of("failed") > 0 ? "red" : of("warning") > 0 ? "yellow" : "green";
  return `${terminal.tone(tone, parts.join(", "), "stdout")}${exit === EXIT_DONE ? "" : `  (exit ${exit})`}`;
}

/** An examination as `--json` prints it. */
export function examinationJson(findings: readonly Finding[], exit: number): object {
  const worst = worstFinding(findings);
  return { verdict: worst?.verdict ?? "ok", code: worst?.code ?? null, exit, findings };
}
