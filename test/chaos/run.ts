/** Many cycles, in worlds of some length each. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../simulation/random.ts";
import { RULES, type Rule, type Violation } from "./audit.ts";
import type { ControlName } from "./controls.ts";
import { drawFaults, type Fault } from "./schedule.ts";
import { World } from "./world.ts";

/** What {@link runChaos} is to do. */
export interface ChaosPlan {
  readonly cycles: number;
  readonly seed: number;
  readonly nodes: number;
  /** Publishing at once in each node. */
  readonly writers: number;
  readonly control: ControlName | undefined;
  /** End with the first violation. */
  readonly failsFast: boolean;
  readonly onCycle: (cycle: CycleReport) => void;
  readonly signal: AbortSignal;
}

/** One cycle. */
export interface CycleReport {
  /** From 1. */
  readonly cycle: number;
  readonly faults: readonly Fault[];
  /** Events that came into the log in it. */
  readonly events: number;
  readonly ms: number;
  readonly settleMs: number;
  readonly violations: readonly Violation[];
}

/** All of them. */
export interface ChaosReport {
  readonly seed: number;
  /** Completed. */
  readonly cycles: number;
  readonly seconds: number;
  /** Events whose publish resolved, and events of ours in logs. */
  readonly recorded: number;
  readonly logged: number;
  readonly processes: number;
  /** Faults by kind. */
  readonly faults: Readonly<Record<Fault["kind"], number>>;
  /** What could not be tried here, in words. */
  readonly skipped: readonly string[];
  readonly violations: Readonly<Record<Rule, number>>;
  /** The first few, in words. */
  readonly examples: readonly Violation[];
}

const CYCLES_PER_WORLD = 20;
const MAX_EXAMPLES = 20;

class Tally {
  cycles = 0;
  recorded = 0;
  logged = 0;
  processes = 0;
  readonly faults: Record<Fault["kind"], number> = { kill: 0, stop: 0, fill: 0 };
  readonly skipped = new Set<string>();
  readonly found: Violation[] = [];

  addWorld({ audit, starts }: World): void {
    this.recorded += audit.recorded;
    this.logged += audit.events;
    this.processes += starts;
    this.found.push(...audit.violations);
  }
}

/** Run it. Ends early, with what it has, when the signal aborts. */
export async function runChaos(plan: ChaosPlan): Promise<ChaosReport> {
  const began = performance.now();
  const tally = new Tally();
  const cache = await mkdtemp(join(tmpdir(), "quaymesh-chaos-cache-"));
  try {
    for (let world = 0; tally.cycles < plan.cycles && !plan.signal.aborted; world++) {
      await runWorld(plan, tally, { world, cache });
      if (plan.failsFast && tally.found.length > 0) break;
    }
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
  const { cycles, recorded, logged, processes, faults, skipped, found } = tally;
  return {
    seed: plan.seed,
    cycles,
    seconds: (performance.now() - began) / 1000,
    recorded,
    logged,
    processes,
    faults,
    skipped: [...skipped],
    violations: Object.fromEntries(
      RULES.map((rule) => [rule, found.filter((one) => one.rule === rule).length]),
    ) as Record<Rule, number>,
    examples: found.slice(0, MAX_EXAMPLES),
  };
}

async function runWorld(
  plan: ChaosPlan,
  tally: Tally,
  { world: number, cache }: { readonly world: number; readonly cache: string },
): Promise<void> {
  const { nodes, writers, control, signal, seed } = plan;
  // Real disks first; every second world has disks that can be full.
  const smallDisks = number % 2 === 1;
  await using world = await World.open({ nodes, writers, smallDisks, control, cache, signal });
  if (smallDisks && world.targets.disks.length === 0) tally.skipped.add("full disks: no file system can be mounted");
  try {
    for (let index = 0; index < CYCLES_PER_WORLD && tally.cycles < plan.cycles; index++) {
      if (signal.aborted) return;
      const known = world.audit.violations.length;
      const cycle = tally.cycles + 1;
      const faults = drawFaults(new Random(seed).fork(`cycle ${String(cycle)}`), world.targets);
      const start = performance.now();
      const { events, settleMs } = await world.cycle(faults);
      tally.cycles = cycle;
      for (const { kind } of faults) tally.faults[kind] += 1;
      const violations = world.audit.violations.slice(known);
      plan.onCycle({ cycle, faults, events, settleMs, ms: performance.now() - start, violations });
      if (plan.failsFast && violations.length > 0) return;
    }
    await world.finish();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    tally.addWorld(world);
  }
}
