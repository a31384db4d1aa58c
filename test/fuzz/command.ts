/** The command line of the fuzzers. */
import { randomInt } from "node:crypto";
import { relative } from "node:path";
import { optionsOrExit } from "../command-line.ts";
import { type FuzzOptions, parseOptions, usage } from "./options.ts";
import type { Outcome, TargetEntry } from "./target.ts";

const CLEAN = 0;
const FOUND = 1;

/** Run what `argv` asks for. @returns the exit code */
export async function fuzzCommand(argv: readonly string[], targets: readonly TargetEntry[]): Promise<number> {
  const options = optionsOrExit(
    () => parseOptions(argv, targets, randomInt(2 ** 32)),
    () => usage(targets),
  );
  if (typeof options === "number") return options;
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  let isClean = true;
  for (const target of options.targets) {
    if (stop.signal.aborted) break;
    isClean = (await runOne(target, options, stop.signal)) && isClean;
  }
  return isClean ? CLEAN : FOUND;
}

async function runOne(target: TargetEntry, options: FuzzOptions, signal: AbortSignal): Promise<boolean> {
  const { seed, seconds, maxInputs, guided, write, corpus, json } = options;
  // First of all: a run that never ends well can then be repeated too.
  process.stderr.write(`${target.name}: seed ${String(seed)}, ${String(seconds)} s\n`);
  const outcome = await target.run({
    seed,
    seconds,
    maxInputs,
    guided,
    write,
    corpus,
    signal,
    onProgress: (line) => {
      if (process.stderr.isTTY) process.stderr.write(`${line}\n`);
    },
  });
  process.stdout.write(json ? `${JSON.stringify(outcome)}\n` : `${describe(outcome)}\n`);
  return outcome.findings.length === 0;
}

function describe(outcome: Outcome): string {
  const { target, seconds, inputs, replayed, kept, findings, figures } = outcome;
  const rate = seconds > 0 ? Math.round(inputs / seconds) : 0;
  const facts = Object.entries(figures).map(([name, value]) => `${name} ${String(value)}`);
  const head = `${target}: ${String(inputs)} inputs in ${seconds.toFixed(1)} s (${String(rate)} a second), ${String(replayed)} replayed, ${String(kept)} reached new code`;
  const lines = findings.map(({ kind, message, file, input }) => {
    const where = file === undefined ? "" : `\n    ${relative(process.cwd(), file)}`;
    return `  ${kind}: ${message}${where}${input === undefined ? "" : `\n    ${input}`}`;
  });
  const verdict =
    findings.length === 0
      ? "  clean"
      : `  ${String(findings.length)} to repair; repeat with --seed ${String(outcome.seed)}`;
  return [head, `  ${facts.join(", ")}`, ...lines, verdict].join("\n");
}
