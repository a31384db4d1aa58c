import { parseArgs } from "node:util";
import type { RowSpec, Suite } from "./suite.ts";

/** What the command line asked for. */
export interface BenchOptions {
  readonly suite: Suite;
  readonly json: boolean;
  readonly quick: boolean;
  readonly reps: number;
  readonly rows: readonly RowSpec[];
  readonly peers: readonly string[];
  readonly profileDir: string | null;
}

/** The command line cannot be understood; the message says what would be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const MAX_REPS = 99;

/**
 * Read the command line; `null` when it asks for help.
 * @throws {UsageError}
 */
export function parseOptions(argv: readonly string[], suites: readonly Suite[]): BenchOptions | null {
  const { values, positionals } = parsed(argv);
  if (values.help) return null;
  const names = suites.map(({ name }) => name);
  const [name, ...rest] = positionals;
  if (name === undefined) throw new UsageError(`name a suite: ${names.join(", ")}`);
  if (rest.length > 0) throw new UsageError(`one suite at a time, not also ${rest.join(", ")}`);
  const suite = suites.find((one) => one.name === name);
  if (suite === undefined) throw new UsageError(`no suite ${name}; there is ${names.join(", ")}`);
  const works = suite.rows.map(({ work }) => work);
  const only = chosen("--only", values.only, works);
  const peers = [...new Set(suite.rows.flatMap((row) => Object.keys(row.goals)))];
  return {
    suite,
    json: values.json,
    quick: values.quick,
    reps: repsOf(values.reps, values.quick),
    rows: suite.rows.filter(({ work }) => only.includes(work)),
    peers: chosen("--peers", values.peers, peers),
    profileDir: values.profile ?? null,
  };
}

/** What `--help` prints. */
export function usage(suites: readonly Suite[]): string {
  const list = suites.map((suite) => {
    const rows = suite.rows.map((row) => `    ${row.work.padEnd(12)}${row.about}`);
    return [`  ${suite.name}`, `    ${suite.about}`, ...rows].join("\n");
  });
  return `npm run bench -- SUITE [options]

Measures our work beside that of others, interleaved, and prints medians and
ratios.

  --json           the result as JSON, on one line, the last of standard output
  --reps N         repetitions with new processes, 1 to ${String(MAX_REPS)} (3; with --quick 1)
  --quick          a few seconds, to see that all works; no figures to quote
  --only A,B       only these rows
  --peers A,B      only these peers; "none" for ours alone
  --profile DIR    write a CPU profile of every client and server process there
  --help

Suites and rows:
${list.join("\n")}

Exit codes: 0 measured, goals reached or not; 1 something failed; 2 usage.`;
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        reps: { type: "string" },
        only: { type: "string" },
        peers: { type: "string" },
        profile: { type: "string" },
      },
    });
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function repsOf(text: string | undefined, quick: boolean): number {
  if (text === undefined) return quick ? 1 : 3;
  const reps = /^\d+$/.test(text) ? Number(text) : 0;
  if (reps < 1 || reps > MAX_REPS) throw new UsageError(`--reps takes 1 to ${String(MAX_REPS)}, not ${text}`);
  return reps;
}

function chosen(option: string, text: string | undefined, known: readonly string[]): readonly string[] {
  if (text === undefined) return known;
  if (text === "none" && option === "--peers") return [];
  const names = text.split(",").map((name) => name.trim());
  const strange = names.filter((name) => !known.includes(name));
  if (strange.length > 0) throw new UsageError(`${option} takes ${known.join(", ")}; not ${strange.join(", ")}`);
  return names;
}
