import { forgetCompositeSignals, watchCompositeSignals } from "./composite-signals.ts";
import { calm } from "./faults.ts";
import type { Plan } from "./plan.ts";
import { SCENARIOS } from "./scenarios/index.ts";
import type { Running } from "./scenarios/scenario.ts";
import type { Broken } from "./broken.ts";
import { Violation } from "./violation.ts";
import { turn } from "./world.ts";

/** After the last fault everything has to come right within this virtual time: two idle timeouts, the longest pause before a dial, and as much again. */
const COME_RIGHT_MS = 240_000;
/** More than any honest simulation takes; one that spins is a failure too. */
const MAX_STEPS = 200_000;

/** How a simulation went. */
export interface Outcome {
  readonly violation: { readonly rule: string; readonly message: string } | undefined;
  readonly steps: number;
  readonly virtualMs: number;
  /** Events that were promised, rows of the log, events that readers got. */
  readonly promised: number;
  readonly logged: number;
  readonly read: number;
}

/** Run one plan to its end: everything came right, or something went wrong. */
export async function runPlan(plan: Plan, broken: Broken = {}): Promise<Outcome> {
  watchCompositeSignals();
  const running = SCENARIOS[plan.scenario].build(plan, broken);
  const { stage } = running;
  const onStray = (cause: unknown): void => stage.onError("nobody caught", cause);
  process.on("unhandledRejection", onStray);
  try {
    await running.prepare?.();
    stage.begin();
    await toTheEnd(running);
    // Whatever a promise still has to say.
    await turn();
  } finally {
    process.off("unhandledRejection", onStray);
    forgetCompositeSignals();
  }
  const { violation, world, recorded, log, readership } = stage;
  return {
    violation: violation === undefined ? undefined : { rule: violation.rule, message: violation.message },
    steps: world.steps,
    virtualMs: Math.round(world.now),
    promised: recorded.promised,
    logged: log.latest,
    read: readership.readCount,
  };
}

async function toTheEnd(running: Running): Promise<void> {
  const { stage } = running;
  const { world, plan } = stage;
  world.after(plan.calmAt, () => calm(stage.scene));
  const end = plan.calmAt + COME_RIGHT_MS;
  while (await world.step()) {
    stage.guard(() => running.check());
    if (stage.violation !== undefined) return;
    if (world.now < plan.calmAt) continue;
    if (running.isDone()) return;
    if (world.now > end || world.steps > MAX_STEPS) {
      const spent = world.now > end ? `${String(COME_RIGHT_MS)} ms after the last fault` : `${String(MAX_STEPS)} steps`;
      return stage.fail(new Violation("comes-right", `after ${spent}: ${running.describeRest()}`));
    }
  }
  stage.fail(new Violation("comes-right", `nothing happens any more: ${running.describeRest()}`));
}
