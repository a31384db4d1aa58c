import { explain, type Explanation } from "./errors.ts";
import type { Terminal } from "./ui/terminal.ts";

/** Tell of an error on stderr, for people or as one JSON line, and return the exit code. */
export function reportError(
  terminal: Terminal,
  error: unknown,
  how: { readonly json: boolean; readonly debug: boolean },
): number {
  const explanation = explain(error);
  if (how.json) terminal.note(JSON.stringify({ error: explanation }));
  else for (const line of errorLines(terminal, explanation)) terminal.note(line);
  if (how.debug && error instanceof Error) terminal.note(stackOf(error));
  return explanation.exit;
}

/** The error as people read it: cause, what was seen, what to do, code and exit code. */
function errorLines(terminal: Terminal, { code, exit, message, seen, hint }: Explanation): readonly string[] {
  const width = Math.min(terminal.columns, 100);
  const facts = [...seen, ...(hint === "" ? [] : hint.split("\n"))].flatMap((line) => wrap(line, width - 2));
  const tag = `(${code}, exit ${exit})`;
  const head = wrap(message, width - 2).map(
    (line, index) => `${index === 0 ? terminal.tone("red", "✗") : " "} ${line}`,
  );
  const body = facts.map((line) => `  ${line}`);
  return [...head, ...body, `  ${terminal.tone("dim", tag)}`];
}

/** Where a sentence hands over to a command to copy: two spaces before it, its end with the line. */
const COMMAND = /(?<=\S) {2}(?=quaymesh )/u;

/**
 * Break `text` at spaces into lines of at most `columns`. A longer word and a command stay whole, so that they can be copied; a command that does not
 * fit behind its sentence gets a line of its own.
 */
export function wrap(text: string, columns: number): readonly string[] {
  const [sentence = "", ...commands] = text.length <= columns ? [text] : text.split(COMMAND);
  const lines: string[] = [];
  let line = "";
  for (const word of text.length <= columns ? [text] : sentence.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length <= columns || line === "") line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line, ...commands.map((command) => `  ${command}`)];
}

function stackOf(error: Error): string {
  const below = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : "";
  return `${error.stack ?? error.message}${below}`;
}
