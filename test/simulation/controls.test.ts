import { expect, test } from "vitest";
import { CONTROLS, type Control } from "./controls.ts";
import { hunt } from "./hunt.ts";
import { runPlan } from "./run.ts";

/** Fewer than the suite runs of any scenario. */
const SEEDS = 400;

test.each(Object.entries<Control>(CONTROLS))(
  "%s is noticed, and what it takes is little",
  { timeout: 240_000 },
  async (_name, { scenario, broken, rules, from = 1 }) => {
    const { findings } = await hunt({ scenario, from, seeds: SEEDS, broken, most: 1 });
    const [finding] = findings;
    expect(rules).toContain(finding?.rule);
    if (finding === undefined) return;
    expect(finding.plan.faults.length).toBeLessThanOrEqual(3);
    expect(finding.plan.work.length).toBeLessThanOrEqual(5);
    // It is the sabotage that breaks the rule, not the plan.
    expect((await runPlan(finding.plan)).violation).toBeUndefined();
  },
);
