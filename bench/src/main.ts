import { availableParallelism, platform, arch } from "node:os";
import { parseOptions, usage, UsageError, type BenchOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { resultOf } from "./report.ts";
import { runSuite, systemsOf } from "./run.ts";
import { SUITES } from "./suites.ts";
import { formatTable } from "./table.ts";

async function bench(options: BenchOptions, signal: AbortSignal): Promise<void> {
  const { suite, rows, peers, reps, quick } = options;
  const plan = quick ? suite.quickPlan : suite.plan;
  const total = reps * plan.rounds * rows.reduce((sum, row) => sum + systemsOf(row, peers).length, 0);
  const progress = new Progress(process.stderr, total);
  const samples = await runSuite(suite, {
    reps,
    rows,
    peers,
    plan,
    profileDir: options.profileDir,
    onSample: (cell) => progress.step(cell),
    signal,
  }).finally(() => progress.end());
  const machine = { node: process.versions.node, os: `${platform()} ${arch()}`, cores: availableParallelism() };
  const result = resultOf(suite, samples, { rows, peers, reps, rounds: plan.rounds, quick, machine });
  process.stdout.write(`${formatTable(result)}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** The process's exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  try {
    const options = parseOptions(argv, SUITES);
    if (options === null) process.stdout.write(`${usage(SUITES)}\n`);
    else await bench(options, stop.signal);
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
