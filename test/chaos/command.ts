/** The command line of chaos. */
import { randomInt } from "node:crypto";
import { optionsOrExit } from "../command-line.ts";
import { parseOptions, usage } from "./options.ts";
import { runChaos, type ChaosReport, type CycleReport } from "./run.ts";
import type { Fault } from "./schedule.ts";

const CLEAN = 0;
const FOUND = 1;
const WRITERS = 8;
const BAR_CELLS = 30;

/** Run what `argv` asks for. @returns the exit code */
export async function chaosCommand(argv: readonly string[]): Promise<number> {
  const options = optionsOrExit(() => parseOptions(argv, randomInt(2 ** 32)), usage);
  if (typeof options === "number") return options;
  const { json, seed, cycles, nodes, control } = options;
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  // First of all: whatever happens then can be asked for again.
  if (!json) process.stderr.write(`seed ${String(seed)}\n`);
  const report = await runChaos({
    cycles,
    seed,
    nodes,
    writers: WRITERS,
    control,
    failsFast: control !== undefined,
    onCycle: (cycle) => (json ? print({ kind: "cycle", seed, ...cycle }) : showProgress(cycle, cycles)),
    signal: stop.signal,
  });
  if (json) print({ kind: "summary", ...report });
  else process.stdout.write(`${describe(report)}\n`);
  return countOf(report) > 0 ? FOUND : CLEAN;
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function countOf({ violations }: ChaosReport): number {
  return Object.values(violations).reduce((sum, count) => sum + count, 0);
}

function showProgress({ cycle, faults, violations }: CycleReport, cycles: number): void {
  for (const { rule, what } of violations.slice(0, 3)) {
    process.stderr.write(`${process.stderr.isTTY ? "\r\u001B[K" : ""}cycle ${String(cycle)}: ${rule}: ${what}\n`);
  }
  if (!process.stderr.isTTY) return;
  const share = Math.round((cycle / cycles) * BAR_CELLS);
  const bar = "█".repeat(share) + "░".repeat(BAR_CELLS - share);
  const done = `${String(cycle)} of ${String(cycles)}`;
  process.stderr.write(`\r\u001B[K${bar} ${done}  ${faults.map(wordsOf).join(", ")}`.slice(0, 84));
  if (cycle === cycles) process.stderr.write("\r\u001B[K");
}

function wordsOf(fault: Fault): string {
  switch (fault.kind) {
    case "kill":
      return `kill ${fault.whom.join("+")}`;
    case "stop":
      return `stop ${fault.whom} ${String(fault.forMs)} ms`;
    case "fill":
      return `fill ${fault.disk}`;
    default:
      return fault satisfies never;
  }
}

function describe(report: ChaosReport): string {
  const { seed, cycles, seconds, recorded, logged, processes, faults, skipped, violations, examples } = report;
  const wrong = Object.entries(violations).filter(([, count]) => count > 0);
  return [
    `chaos, seed ${String(seed)}: ${String(cycles)} cycles in ${seconds.toFixed(0)} s, ${String(processes)} processes started`,
    `  ${String(faults.kill)} times killed, ${String(faults.stop)} stopped, ${String(faults.fill)} disks filled`,
    `  ${String(recorded)} events recorded by nodes, ${String(logged)} in logs`,
    ...skipped.map((what) => `  not tried: ${what}`),
    ...wrong.map(([rule, count]) => `  ✗ ${rule}: ${String(count)}`),
    ...examples.map(({ rule, what }) => `    ${rule}: ${what}`.slice(0, 400)),
    ...(wrong.length === 0 ? ["  ✓ nothing lost, nothing twice, nothing out of order"] : []),
  ].join("\n");
}
