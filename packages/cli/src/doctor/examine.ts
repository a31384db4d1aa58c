import type { Finding } from "@quaymesh/protocol/core";
import type { Terminal } from "../ui/terminal.ts";
import { Outcome } from "../outcome.ts";
import { withState } from "./named-state.ts";
import { examinationJson, exitOf, findingLines, summaryLine } from "./print.ts";

/**
 * Run an examination and tell of it: line by line as it goes, or as one JSON value at its end.
 * @param how.named the state directory, where it is not the default one: commands in findings name it
 * @throws {Outcome} where the worst finding has an exit code that is not 0
 */
export async function examine(
  terminal: Terminal,
  how: { readonly json: boolean; readonly named?: { readonly state: string; readonly whose: "gateway" | "node" } },
  run: (onFinding: (finding: Finding) => void) => Promise<readonly Finding[]>,
): Promise<void> {
  const { json, named } = how;
  const tell = (finding: Finding): Finding =>
    named === undefined ? finding : withState(finding, named.state, named.whose);
  const found = await run((finding) => {
    if (!json) for (const line of findingLines(terminal, tell(finding))) terminal.result(line);
  });
  const findings = found.map(tell);
  const exit = exitOf(findings);
  if (json) terminal.json(examinationJson(findings, exit));
  else terminal.result(summaryLine(terminal, findings, exit));
  if (exit !== 0) throw new Outcome(exit);
}
