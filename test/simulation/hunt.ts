/** Runs seeds, and makes of a failing one an example. */
import { loadExamples, keepExample, type Example } from "./examples.ts";
import { TAKEN, type TransitionCounts } from "./pairing/transitions.ts";
import type { Fault, Plan, ScenarioName } from "./plan.ts";
import { runPlan, type Outcome } from "./run.ts";
import { planOf } from "./scenarios/index.ts";
import { shrink } from "./shrink.ts";
import type { Broken } from "./broken.ts";

/** What {@link hunt} takes. */
export interface HuntOptions {
  readonly scenario: ScenarioName;
  readonly from: number;
  readonly seeds: number;
  readonly broken?: Broken;
  /** Stop at this many findings. */
  readonly most: number;
  /** Where findings go; nowhere without it. */
  readonly keepIn?: URL;
  /** Where kept ones are, to be replayed first; none without it. */
  readonly replayFrom?: URL;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, findings: number) => void;
}

/** Something that went wrong. */
interface Finding {
  /** Of the seed, or the name of the example. */
  readonly from: number | string;
  readonly rule: string;
  readonly message: string;
  /** The smallest plan that shows it. */
  readonly plan: Plan;
  readonly file: string | undefined;
}

/** How a hunt went. */
export interface Hunted {
  readonly scenario: ScenarioName;
  readonly from: number;
  readonly seeds: number;
  readonly replayed: number;
  readonly seconds: number;
  readonly steps: number;
  readonly virtualMs: number;
  readonly promised: number;
  readonly logged: number;
  readonly read: number;
  /** By kind. */
  readonly faults: Readonly<Partial<Record<Fault["kind"], number>>>;
  /** Of the pairing machines, shrinking included. */
  readonly transitions: TransitionCounts;
  readonly findings: readonly Finding[];
}

/** Replay what is kept, then run the seeds. */
export async function hunt(options: HuntOptions): Promise<Hunted> {
  const { scenario, from, broken = {}, most } = options;
  const isOver = (): boolean => findings.length >= most || options.signal?.aborted === true;
  const began = performance.now();
  const before = TAKEN.counts();
  const sum = { steps: 0, virtualMs: 0, promised: 0, logged: 0, read: 0 };
  const faults: Partial<Record<Fault["kind"], number>> = {};
  const findings: Finding[] = [];
  const run = async (plan: Plan, name: number | string): Promise<void> => {
    const outcome = await runPlan(plan, broken);
    for (const key of ["steps", "virtualMs", "promised", "logged", "read"] as const) sum[key] += outcome[key];
    for (const { kind } of plan.faults) faults[kind] = (faults[kind] ?? 0) + 1;
    if (outcome.violation !== undefined) findings.push(await findingOf(plan, outcome.violation, name, options));
  };
  const kept = options.replayFrom === undefined ? [] : await examplesOf(options.replayFrom, scenario);
  for (const [name, { plan }] of kept) await run(plan, name);
  let seeds = 0;
  for (; seeds < options.seeds && !isOver(); seeds++) {
    await run(planOf(scenario, from + seeds), from + seeds);
    options.onProgress?.(seeds + 1, findings.length);
  }
  const seconds = (performance.now() - began) / 1000;
  return {
    scenario,
    from,
    seeds,
    replayed: kept.length,
    seconds,
    ...sum,
    faults,
    transitions: TAKEN.counts(before),
    findings,
  };
}

async function examplesOf(directory: URL, scenario: ScenarioName): Promise<readonly (readonly [string, Example])[]> {
  return [...(await loadExamples(directory))].filter(([, { plan }]) => plan.scenario === scenario);
}

async function findingOf(
  plan: Plan,
  { rule, message }: NonNullable<Outcome["violation"]>,
  from: number | string,
  { broken = {}, keepIn, scenario }: HuntOptions,
): Promise<Finding> {
  // What is kept is small already.
  if (typeof from === "string") return { from, rule, message, plan, file: undefined };
  const small = await shrink(plan, async (smaller) => (await runPlan(smaller, broken)).violation?.rule === rule);
  const again = await runPlan(small.plan, broken);
  const said = again.violation?.message ?? message;
  const about = said.split("\n")[0] ?? said;
  const file =
    keepIn === undefined
      ? undefined
      : await keepExample(`${scenario}-${rule}-${String(from)}`, { about, rule, plan: small.plan }, keepIn);
  return { from, rule, message: said, plan: small.plan, file: file?.pathname };
}
