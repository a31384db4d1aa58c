import { pathToFileURL } from "node:url";
import { parseCommandLine, UsageError, wholeNumber } from "../command-line.ts";
import type { TargetEntry } from "./target.ts";

/** What the command line asked for. */
export interface FuzzOptions {
  readonly targets: readonly TargetEntry[];
  /** For each target. */
  readonly seconds: number;
  readonly maxInputs: number;
  readonly seed: number;
  readonly json: boolean;
  readonly guided: boolean;
  readonly write: boolean;
  readonly corpus: URL;
}

const CORPUS = new URL("corpus/", import.meta.url);
const DEFAULT_SECONDS = 60;

/**
 * Read the command line; `null` when it asks for help.
 * @param freshSeed the seed where none is given
 * @throws {UsageError}
 */
export function parseOptions(
  argv: readonly string[],
  targets: readonly TargetEntry[],
  freshSeed: number,
): FuzzOptions | null {
  const { values, positionals } = parsed(argv);
  if (values.help) return null;
  const [name, ...rest] = positionals;
  const names = [...targets.map((target) => target.name), "all"].join(", ");
  if (name === undefined) throw new UsageError(`name a target: ${names}`);
  if (rest.length > 0) throw new UsageError(`one target at a time, or all; not also ${rest.join(", ")}`);
  const chosen = name === "all" ? targets : targets.filter((target) => target.name === name);
  if (chosen.length === 0) throw new UsageError(`no target ${name}; there is ${names}`);
  return {
    targets: chosen,
    seconds: wholeNumber("--seconds", values.seconds, { usual: DEFAULT_SECONDS, most: 86_400 }),
    maxInputs: wholeNumber("--inputs", values.inputs, { usual: Infinity, most: Number.MAX_SAFE_INTEGER }),
    seed: wholeNumber("--seed", values.seed, { usual: freshSeed }),
    json: values.json,
    guided: !values.blind,
    write: !values["dry-run"],
    corpus: values.corpus === undefined ? CORPUS : pathToFileURL(`${values.corpus}/`),
  };
}

/** What `--help` prints. */
export function usage(targets: readonly TargetEntry[]): string {
  return `npm run fuzz -- TARGET [options]

Feeds hostile input to what strangers and peers can reach, and watches: alive,
never blocked above 50 ms by one input, memory flat, promises kept.
The kept corpus (test/fuzz/corpus) is replayed first. Whatever reaches new code
and whatever fails is shrunk and kept there.

  --seconds N    for each target, after the replay (${String(DEFAULT_SECONDS)})
  --inputs N     stop after so many, if that comes first
  --seed S       repeat a run; without it a new one is drawn, and printed
  --json         one line of JSON per target on standard output
  --corpus DIR   another corpus
  --blind        do not learn from what reaches new code; only to compare
  --dry-run      write nothing
  --help

Targets:
${targets.map(({ name, about }) => `  ${name.padEnd(11)}${about}`).join("\n")}
  ${"all".padEnd(11)}one after the other

Exit codes: 0 nothing found; 1 something to repair; 2 usage.`;
}

function parsed(argv: readonly string[]) {
  return parseCommandLine({
    args: [...argv],
    allowPositionals: true,
    options: {
      seconds: { type: "string" },
      inputs: { type: "string" },
      seed: { type: "string" },
      corpus: { type: "string" },
      json: { type: "boolean", default: false },
      blind: { type: "boolean", default: false },
      "dry-run": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
}
