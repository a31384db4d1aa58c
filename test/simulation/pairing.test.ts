import { expect, test } from "vitest";
import { IN_SIMULATION } from "../pairing-states/in-simulation.ts";
import { describeSeeds } from "./describe-seeds.ts";
import { TAKEN } from "./pairing/transitions.ts";
import { runPlan } from "./run.ts";
import type { Plan } from "./plan.ts";
import { planOf } from "./scenarios/index.ts";

/** A burst of guesses, a crash, and another burst from elsewhere. */
const GUESSES: Plan = {
  ...planOf("pairing", 1),
  nodes: 1,
  door: "window",
  work: [
    { kind: "pair", at: 0, node: 0, code: "pin", decision: "approve", walkMs: 20_000, lookMs: 200 },
    { kind: "guess", at: 1500, node: 0, stranger: 0, code: "pin", times: 3, everyMs: 300, manner: "waits" },
    { kind: "guess", at: 22_000, node: 0, stranger: 1, code: "pin", times: 3, everyMs: 300, manner: "waits" },
  ],
  faults: [{ at: 4000, steps: 0, kind: "gateway-crash", forMs: 100 }],
  calmAt: 30_000,
};

/** A machine that is paired already is paired again, and is revoked while the second approval is on its way to a slow disk. */
const REVOKED_MEANWHILE: Plan = {
  ...planOf("pairing", 1),
  nodes: 1,
  door: "window",
  work: [
    { kind: "pair", at: 0, node: 0, code: "ticket", decision: "approve", walkMs: 200, lookMs: 200 },
    { kind: "pair", at: 8000, node: 0, code: "ticket", decision: "approve", walkMs: 200, lookMs: 200 },
    { kind: "revoke", at: 9000, node: 0 },
  ],
  faults: [{ at: 7000, steps: 0, kind: "store-slow", commitMs: 400, forMs: 8000 }],
  calmAt: 16_000,
};

const hunted = describeSeeds("pairing", { from: 1, seeds: 250 });

test("the seeds take every transition that the document says they take", { timeout: 600_000 }, async () => {
  const taken = new Set((await hunted()).flatMap(({ transitions }) => Object.keys(transitions)));
  expect([...IN_SIMULATION].filter((pair) => !taken.has(pair))).toEqual([]);
});

test("a crash gives no fresh guesses, and a gateway that forgot what failed before it would be noticed", async () => {
  expect((await runPlan(GUESSES)).violation).toBeUndefined();
  const { violation } = await runPlan(GUESSES, { pairing: { forgetsFailures: true } });
  expect(violation?.rule).toBe("budgets-hold");
});

test("a device that is revoked between its approval and its certificate gets none, and nobody calls it an error", async () => {
  const before = TAKEN.counts();
  expect((await runPlan(REVOKED_MEANWHILE)).violation).toBeUndefined();
  expect(TAKEN.counts(before)).toMatchObject({ "request approved + issue-failed": 1 });
});
