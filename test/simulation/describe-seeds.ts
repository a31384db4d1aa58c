/** The seeds of a scenario as tests. */
import { describe, expect, test } from "vitest";
import { loadExamples } from "./examples.ts";
import { hunt, type Hunted } from "./hunt.ts";
import type { ScenarioName } from "./plan.ts";
import { runPlan } from "./run.ts";

/** Seeds in one test: a failing one is then not far away, and no test takes long on a busy machine. Pairing computes on curves, which takes real time. */
const CHUNK = { events: 125, sessions: 125, tasks: 125, pairing: 25 } as const satisfies Record<ScenarioName, number>;

/**
 * Register the kept examples of a scenario, and so many of its seeds. The number counts, not the time: what is found does not depend on the machine.
 * @returns how the hunts of all the seeds went, whichever tests have run before: those that have not been made yet are made.
 */
export function describeSeeds(
  scenario: ScenarioName,
  range: { readonly from: number; readonly seeds: number },
): () => Promise<readonly Hunted[]> {
  const chunk = CHUNK[scenario];
  const starts = Array.from({ length: Math.ceil(range.seeds / chunk) }, (_, index) => range.from + index * chunk);
  const made = new Map<number, Promise<Hunted>>();
  const hunted = (from: number): Promise<Hunted> => {
    const known = made.get(from) ?? hunt({ scenario, from, seeds: chunk, most: 1 });
    made.set(from, known);
    return known;
  };
  describe(`${scenario} in simulation`, async () => {
    const examples = [...(await loadExamples())].filter(([, { plan }]) => plan.scenario === scenario);
    for (const [name, { plan, control }] of examples) {
      if (control !== undefined) continue;
      test(`the example ${name} comes right`, async () => {
        expect((await runPlan(plan)).violation).toBeUndefined();
      });
    }
    for (const from of starts) {
      test(`the seeds from ${String(from)} on come right`, { timeout: 240_000 }, async () => {
        const { seeds, findings } = await hunted(from);
        // The message has the seed and the shrunk plan: put the plan into examples/ to keep it.
        expect(findings.map(({ from, message, plan }) => ({ from, message, plan: JSON.stringify(plan) }))).toEqual([]);
        expect(seeds).toBe(chunk);
      });
    }
  });
  return async () => {
    const all: Hunted[] = [];
    // One after the other: they count what they share.
    for (const from of starts) all.push(await hunted(from));
    return all;
  };
}
