import { expect, it } from "vitest";
import { CONTROLS, type Control, type ControlName } from "./controls.ts";
import { runChaos, type ChaosReport, type CycleReport } from "./run.ts";

/** Processes are started by the dozen, on cores that other tests use. */
const TIMEOUT_MS = 240_000;

async function chaos(cycles: number, control?: ControlName): Promise<ChaosReport> {
  const seen: CycleReport[] = [];
  const report = await runChaos({
    cycles,
    seed: 7,
    // Fewer processes, where it is not about many.
    nodes: control === undefined ? 2 : 1,
    writers: 4,
    control,
    failsFast: control !== undefined,
    onCycle: (cycle) => seen.push(cycle),
    signal: new AbortController().signal,
  });
  expect(seen).toHaveLength(report.cycles);
  return report;
}

it("what was recorded is in the log once and in order after kills of both ends", { timeout: TIMEOUT_MS }, async () => {
  const report = await chaos(4);
  expect(report.examples).toEqual([]);
  expect(report.cycles).toBe(4);
  expect(report.recorded).toBeGreaterThan(0);
  expect(report.logged).toBeGreaterThanOrEqual(report.recorded);
  expect(report.faults.kill).toBeGreaterThan(0);
});

it.each(Object.entries<Control>(CONTROLS))("%s is noticed", { timeout: TIMEOUT_MS }, async (name, { rules }) => {
  const { violations } = await chaos(12, name as ControlName);
  expect(rules.map((rule) => violations[rule])).not.toEqual(rules.map(() => 0));
});
