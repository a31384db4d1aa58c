/** The command line of the simulation. */
import { relative } from "node:path";
import { CONTROLS } from "./controls.ts";
import { hunt, type Hunted } from "./hunt.ts";
import { optionsOrExit } from "../command-line.ts";
import { parseOptions, usage, type SimulateOptions } from "./options.ts";
import type { ScenarioName } from "./plan.ts";
import { SCENARIOS } from "./scenarios/index.ts";

const CLEAN = 0;
const FOUND = 1;
/** Findings of one scenario, after which it is looked into rather than run on. */
const MAX_FINDINGS = 3;

/** Run what `argv` asks for. @returns the exit code */
export async function simulateCommand(argv: readonly string[]): Promise<number> {
  const options = optionsOrExit(() => parseOptions(argv), usage);
  if (typeof options === "number") return options;
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  let found = false;
  for (const scenario of options.scenarios) {
    if (stop.signal.aborted) break;
    found = (await runOne(scenario, options, stop.signal)) || found;
  }
  return found ? FOUND : CLEAN;
}

async function runOne(scenario: ScenarioName, options: SimulateOptions, signal: AbortSignal): Promise<boolean> {
  const { seeds, from, json, keep, examples, control } = options;
  const hunted = await hunt({
    scenario,
    seeds,
    from,
    most: control === undefined ? MAX_FINDINGS : 1,
    ...(control === undefined ? { replayFrom: examples } : { broken: CONTROLS[control].broken }),
    ...(keep && { keepIn: examples }),
    signal,
    onProgress: (done, findings) => showProgress(scenario, done, seeds, findings),
  });
  if (process.stderr.isTTY) process.stderr.write("\r\u001B[K");
  process.stdout.write(json ? `${JSON.stringify(hunted)}\n` : `${describe(hunted)}\n`);
  return hunted.findings.length > 0;
}

function showProgress(scenario: ScenarioName, done: number, seeds: number, findings: number): void {
  if (!process.stderr.isTTY || done % 50 !== 0) return;
  const share = Math.round((done / seeds) * 30);
  const bar = "█".repeat(share) + "░".repeat(30 - share);
  process.stderr.write(`\r${scenario.padEnd(9)} ${bar} ${String(done)} of ${String(seeds)}, ${String(findings)} found`);
}

function describe(hunted: Hunted): string {
  const { scenario, from, seeds, replayed, seconds, steps, virtualMs, findings, faults } = hunted;
  const rate = seconds > 0 ? Math.round((seeds + replayed) / seconds) : 0;
  const kinds = Object.entries(faults).toSorted(([, one], [, other]) => other - one);
  const total = kinds.reduce((sum, [, count]) => sum + count, 0);
  const last = seeds === 0 ? "none" : `${String(from)} to ${String(from + seeds - 1)}`;
  const lines = [
    `${scenario}: ${SCENARIOS[scenario].about}`,
    `  seeds ${last}, after ${String(replayed)} examples, in ${seconds.toFixed(1)} s (${String(rate)} a second)`,
    `  ${number(steps)} steps, ${(virtualMs / 3_600_000).toFixed(1)} hours of virtual time, ${number(total)} faults`,
    `  ${number(hunted.promised)} events promised, ${number(hunted.logged)} in logs, ${number(hunted.read)} read`,
    `  most often: ${kinds
      .slice(0, 5)
      .map(([kind, count]) => `${kind} ${number(count)}`)
      .join(", ")}`,
  ];
  if (findings.length === 0) return [...lines, "  ✓ everything came right"].join("\n");
  return [...lines, ...findings.map(describeFinding)].join("\n");
}

function describeFinding({ from, message, plan, file }: Hunted["findings"][number]): string {
  const name = typeof from === "string" ? `example ${from}` : `seed ${String(from)}`;
  const faults = plan.faults.map((fault) => `      ${JSON.stringify(fault)}`);
  const kept = file === undefined ? [] : [`    kept as ${relative(process.cwd(), file)}`];
  return [
    `  ✗ ${name}: ${message}`,
    `    it takes ${String(plan.work.length)} pieces of work and these faults`,
    ...faults,
    ...kept,
  ].join("\n");
}

function number(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, " ");
}
