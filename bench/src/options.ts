import { parseArgs } from "node:util";
import type { RowSpec, SettingSpec, Suite } from "./suite.ts";

/** What the command line asked for. */
export interface BenchOptions {
  readonly suite: Suite;
  readonly json: boolean;
  readonly quick: boolean;
  readonly reps: number;
  readonly rows: readonly RowSpec[];
  readonly peers: readonly string[];
  readonly profileDir: string | null;
  /** A value for each of the suite's settings, by name. */
  readonly settings: Readonly<Record<string, number>>;
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
  const { values, positionals } = parsed(argv, suites);
  if (values["help"] === true) return null;
  const names = suites.map(({ name }) => name);
  const [name, ...rest] = positionals;
  if (name === undefined) throw new UsageError(`name a suite: ${names.join(", ")}`);
  if (rest.length > 0) throw new UsageError(`one suite at a time, not also ${rest.join(", ")}`);
  const suite = suites.find((one) => one.name === name);
  if (suite === undefined) throw new UsageError(`no suite ${name}; there is ${names.join(", ")}`);
  const text = (option: string): string | undefined => {
    const value = values[option];
    return typeof value === "string" ? value : undefined;
  };
  const works = suite.rows.map(({ work }) => work);
  const only = chosen("--only", text("only"), { known: works, usual: works });
  const quick = values["quick"] === true;
  return {
    suite,
    json: values["json"] === true,
    quick,
    reps: wholeOf("--reps", text("reps"), { default: quick ? 1 : suite.reps, least: 1, most: MAX_REPS }),
    rows: suite.rows.filter(({ work }) => only.includes(work)),
    peers: peersOf(suite, text("peers")),
    profileDir: text("profile") ?? null,
    settings: settingsOf(suite, suites, { text, quick }),
  };
}

/** What `--help` prints. */
export function usage(suites: readonly Suite[]): string {
  const list = suites.map((suite) => {
    const column = Math.max(...suite.rows.map(({ work }) => work.length)) + 2;
    const rows = suite.rows.map((row) => `    ${row.work.padEnd(column)}${row.about}`);
    const optional = suite.optionalPeers.length === 0 ? "" : `; if named also ${suite.optionalPeers.join(", ")}`;
    const usual = usualPeers(suite).join(", ");
    const peers = usual === "" && optional === "" ? [] : [`    peers: ${usual}${optional}`];
    const plan = `    ${suite.takes}, in ${String(suite.reps)} repetition${suite.reps === 1 ? "" : "s"}`;
    return [`  ${suite.name}: ${suite.about}`, plan, ...peers, ...suite.settings.map(settingLine), ...rows].join("\n");
  });
  return `npm run bench -- SUITE [options]

Measures our work beside that of others, interleaved, and prints medians and
ratios.

  --json           the result as JSON, on one line, the last of standard output
  --reps N         repetitions with new processes, 1 to ${String(MAX_REPS)} (with --quick 1)
  --quick          much shorter, to see that all works; no figures to quote
  --only A,B       only these rows
  --peers A,B      only these peers; "none" for ours alone, "all" for every one
  --profile DIR    write a CPU profile of every client and server process there
  --help

Suites, how long each takes, and rows:
${list.join("\n\n")}

A peer that fails shows as failed, and the run goes on without it.
Exit codes: 0 measured, goals reached or not; 1 ours failed, or a peer that a
goal is held against; 2 usage.`;
}

function settingLine(one: SettingSpec): string {
  const numbers = `${String(one.least)} to ${String(one.most)} (${String(one.default)}; quick ${String(one.quick)})`;
  return `    --${one.name} N: ${one.about}, ${numbers}`;
}

interface Parsed {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}

function parsed(argv: readonly string[], suites: readonly Suite[]): Parsed {
  const settings = suites.flatMap((suite) => suite.settings.map(({ name }) => [name, { type: "string" }] as const));
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: "boolean" },
        quick: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        reps: { type: "string" },
        only: { type: "string" },
        peers: { type: "string" },
        profile: { type: "string" },
        ...Object.fromEntries(settings),
      },
    });
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function usualPeers(suite: Suite): readonly string[] {
  return peersIn(suite).filter((peer) => !suite.optionalPeers.includes(peer));
}

function peersIn(suite: Suite): readonly string[] {
  return [...new Set(suite.rows.flatMap((row) => Object.keys(row.goals)))];
}

function peersOf(suite: Suite, text: string | undefined): readonly string[] {
  const known = peersIn(suite);
  if (text === "none") return [];
  if (text === "all") return known;
  return chosen("--peers", text, { known, usual: usualPeers(suite) });
}

interface Given {
  readonly text: (option: string) => string | undefined;
  readonly quick: boolean;
}

function settingsOf(suite: Suite, suites: readonly Suite[], { text, quick }: Given): Readonly<Record<string, number>> {
  const known = new Set(suite.settings.map(({ name }) => name));
  for (const { name } of suites.flatMap(({ settings }) => settings)) {
    if (!known.has(name) && text(name) !== undefined) throw new UsageError(`--${name} is not for ${suite.name}`);
  }
  const entries = suite.settings.map(({ name, least, most, ...rest }) => {
    const usual = quick ? rest.quick : rest.default;
    return [name, wholeOf(`--${name}`, text(name), { default: usual, least, most })] as const;
  });
  return Object.fromEntries(entries);
}

function wholeOf(
  option: string,
  text: string | undefined,
  allowed: { readonly default: number; readonly least: number; readonly most: number },
): number {
  if (text === undefined) return allowed.default;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= allowed.least && value <= allowed.most) return value;
  throw new UsageError(`${option} takes ${String(allowed.least)} to ${String(allowed.most)}, not ${text}`);
}

function chosen(
  option: string,
  text: string | undefined,
  { known, usual }: { readonly known: readonly string[]; readonly usual: readonly string[] },
): readonly string[] {
  if (text === undefined) return usual;
  const names = text.split(",").map((name) => name.trim());
  const strange = names.filter((name) => !known.includes(name));
  if (strange.length > 0) throw new UsageError(`${option} takes ${known.join(", ")}; not ${strange.join(", ")}`);
  return names;
}
