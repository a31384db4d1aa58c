/** Makes a failing plan small: what is left is what it takes. */
import type { Fault, Plan, ScenarioName, Work } from "./plan.ts";
import { calmAfter } from "./scenarios/faults.ts";

/** Whether a plan still shows what the first one showed. */
export type StillFails = (plan: Plan) => Promise<boolean>;

/** Plans that are tried, at most: each is a run. Those of pairing take longer, and have less in them. */
const MAX_TRIES = { events: 600, sessions: 600, tasks: 600, pairing: 80 } as const satisfies Record<
  ScenarioName,
  number
>;

/**
 * The smallest plan found that still fails: fewer faults, less work, fewer readers and nodes, plainer numbers; until nothing more can go.
 * @param plan one that fails
 */
export async function shrink(
  plan: Plan,
  stillFails: StillFails,
): Promise<{ readonly plan: Plan; readonly tries: number }> {
  const most = MAX_TRIES[plan.scenario];
  let best = plan;
  let tries = 0;
  for (let smaller = true; smaller && tries < most;) {
    smaller = false;
    for (const candidate of candidates(best)) {
      if (tries >= most) break;
      tries += 1;
      if (!(await stillFails(candidate))) continue;
      best = candidate;
      smaller = true;
      break;
    }
  }
  return { plan: best, tries };
}

/** Plans that are a little smaller, the boldest first. */
function* candidates(plan: Plan): Generator<Plan> {
  for (const faults of without(plan.faults)) yield calmed({ ...plan, faults });
  for (const work of without(plan.work)) yield calmed({ ...plan, work });
  for (let at = 0; at < plan.readers.length; at++) {
    const touches = plan.faults.some((fault) => fault.kind === "reader-crash" && fault.reader >= at);
    if (!touches) yield { ...plan, readers: plan.readers.toSpliced(at, 1) };
  }
  if (plan.nodes > 1 && !uses(plan, plan.nodes - 1)) yield { ...plan, nodes: plan.nodes - 1 };
  for (const [at, { slowMs, ...reader }] of plan.readers.entries()) {
    if (slowMs !== undefined) yield { ...plan, readers: plan.readers.with(at, reader) };
  }
  if (plan.packs === true) yield { ...plan, packs: false };
  if (plan.stutter > 0) yield { ...plan, stutter: 0 };
  if (plan.windowBytes !== WIDE) yield { ...plan, windowBytes: WIDE };
  for (const [at, fault] of plan.faults.entries()) {
    for (const plainer of plainerFaults(fault)) yield calmed({ ...plan, faults: plan.faults.with(at, plainer) });
  }
  for (const [at, work] of plan.work.entries()) {
    for (const plainer of plainerWork(work)) yield calmed({ ...plan, work: plan.work.with(at, plainer) });
  }
}

const WIDE = 262_144;

/** Half of them, then each one less. */
function* without<T>(all: readonly T[]): Generator<readonly T[]> {
  if (all.length > 3) {
    yield all.slice(0, all.length >> 1);
    yield all.slice(all.length >> 1);
  }
  for (let at = all.length - 1; at >= 0; at--) yield all.toSpliced(at, 1);
}

function* plainerFaults(fault: Fault): Generator<Fault> {
  if (fault.steps > 0) {
    yield { ...fault, steps: 0 };
    if (fault.steps > 1) yield { ...fault, steps: fault.steps >> 1 };
  }
  if ("forMs" in fault && fault.forMs > 1) yield { ...fault, forMs: fault.forMs >> 1 };
  if (fault.kind !== "weather") return;
  const { weather } = fault;
  for (const name of ["loss", "repeat", "jitterMs"] as const) {
    if (weather[name] > 0) yield { ...fault, weather: { ...weather, [name]: 0 } };
  }
}

function* plainerWork(work: Work): Generator<Work> {
  if (work.kind === "task") yield* plainerTasks(work);
  if (work.kind === "pair" && work.walkMs + work.lookMs > 400) yield { ...work, walkMs: 200, lookMs: 200 };
  if (work.kind === "pair" && work.second !== undefined) {
    const { second: _, ...alone } = work;
    yield alone;
  }
  if (work.kind === "guess" && work.times > 1) yield { ...work, times: work.times >> 1 };
  if (work.kind !== "publish") return;
  if (work.count > 1) {
    yield { ...work, count: 1 };
    yield { ...work, count: work.count >> 1 };
  }
  if (work.bytes > 0) yield { ...work, bytes: 0 };
  if (work.buffered) yield { ...work, buffered: false };
  if (work.flush) yield { ...work, flush: false };
}

function* plainerTasks(work: Extract<Work, { kind: "task" }>): Generator<Work> {
  if (work.failures > 0) yield { ...work, failures: 0 };
  if (work.cancelAfterMs > 0) yield { ...work, cancelAfterMs: 0 };
  if (work.runMs > 1) yield { ...work, runMs: work.runMs >> 1 };
}

function uses(plan: Plan, node: number): boolean {
  const names = [...plan.work, ...plan.faults].some((each) => "node" in each && each.node === node);
  const reads = plan.readers.some(({ at, devices = [] }) => at === node || devices.includes(node));
  return names || reads || plan.faults.some((fault) => fault.kind === "clock-jump" && fault.machine === node);
}

function calmed(plan: Plan): Plan {
  return { ...plan, calmAt: calmAfter(plan.faults, plan.work) };
}
