import type { Finding } from "@quaymesh/protocol/core";
import type { Terminal } from "../ui/terminal.ts";
import { Outcome } from "../outcome.ts";
import { examinationJson, exitOf, findingLines, summaryLine } from "./print.ts";

/**
 * Run an examination and tell of it: line by line as it goes, or as one JSON value at its end.
 * @throws {Outcome} where the worst finding has an exit code that is not 0
 */
export async function examine(
  terminal: Terminal,
  json: boolean,
  run: (onFinding: (finding: Finding) => void) => Promise<readonly Finding[]>,
): Promise<void> {
  const findings = await run((finding) => {
    if (!json) for (const line of findingLines(terminal, finding)) terminal.result(line);
  });
  const exit = exitOf(findings);
  if (json) terminal.json(examinationJson(findings, exit));
  else terminal.result(summaryLine(terminal, findings, exit));
  if (exit !== 0) throw new Outcome(exit);
}
