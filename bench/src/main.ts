import { availableParallelism, platform, arch } from "node:os";
import { parseOptions, usage, UsageError, type BenchOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { goalsUnmeasured, resultOf } from "./report.ts";
import { runSuite, systemsOf } from "./run.ts";
import { SUITES } from "./suites.ts";
import { formatTable } from "./table.ts";

/** Measure and print. @returns the process's exit code */
async function bench(options: BenchOptions, signal: AbortSignal): Promise<number> {
  const { suite, rows, peers, reps, quick, settings } = options;
  const plan = quick ? suite.quickPlan : suite.plan;
  const total = reps * plan.rounds * rows.reduce((sum, row) => sum + systemsOf(row, peers).length, 0);
  const progress = new Progress(process.stderr, total);
  const found = await runSuite(suite, {
    reps,
    rows,
    peers,
    plan,
    settings,
    profileDir: options.profileDir,
    onSample: (cell) => progress.step(cell),
    onFailure: (failure) => progress.failed(failure),
    note: (text) => progress.note(text),
    signal,
  }).finally(() => progress.end());
  const machine = { node: process.versions.node, os: `${platform()} ${arch()}`, cores: availableParallelism() };
  const result = resultOf(suite, found, { rows, peers, reps, rounds: plan.rounds, quick, settings, machine });
  process.stdout.write(`${formatTable(result)}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  const missing = goalsUnmeasured(suite, result);
  for (const { work, system } of missing) process.stderr.write(`no goal of ${work} could be held against ${system}\n`);
  return missing.length === 0 ? 0 : 1;
}

/** The process's exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  try {
    const options = parseOptions(argv, SUITES);
    if (options !== null) return await bench(options, stop.signal);
    process.stdout.write(`${usage(SUITES)}\n`);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n--help says more.\n`);
      return 2;
    }
    process.stderr.write(`bench failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
