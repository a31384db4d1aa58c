import { encodeValue } from "@quaymesh/protocol";
import { GatewayError, type GatewayCore } from "@quaymesh/gateway";
import type { UnitName } from "../../../packages/gateway/src/store/sqlite/units.ts";
import { deviceIdOf } from "../actors/node.ts";
import { SimJournal, worker, type WorkInput } from "../actors/worker.ts";
import { ModelTasks } from "../model/tasks.ts";
import type { Fault, Plan, Work } from "../plan.ts";
import type { Random } from "../random.ts";
import type { Broken } from "../broken.ts";
import { Stage } from "../stage.ts";
import { drawPublish, publishAll } from "./events.ts";
import { calmAfter, drawFaults, type FaultWeights } from "./faults.ts";
import type { Running, Scenario } from "./scenario.ts";

type TaskWork = Extract<Work, { kind: "task" }>;

const SPAN_MS = 8000;
const FAULTS: FaultWeights = {
  cut: 3,
  block: 6,
  weather: 2,
  "node-crash": 5,
  "gateway-crash": 4,
  "gateway-drain": 1,
  disk: 1,
  "store-full": 1,
  "store-slow": 2,
  "clock-jump": 1,
};
/** How long an operator waits before asking again. */
const ASK_AGAIN_MS = 500;
const TIMEOUT_MS = 40_000;
/** Leases are on the wall clock: one that goes back by an hour makes them an hour longer, which is known. */
const MOST_BACK_MS = 5000;

/** Units that change what the model knows of tasks. Heartbeats, which come most often, do not. */
const TOUCH_TASKS: ReadonlySet<UnitName> = new Set([
  "tasks.submit",
  "tasks.step",
  "tasks.resume",
  "tasks.disconnect",
  "tasks.adopt",
  "events.append",
]);

/** Tasks: leases, fencing, results. */
export const tasks: Scenario = {
  name: "tasks",
  about: "each task ends once, by the result of its newest lease",
  plan,
  build: (plan, broken) => new TasksRun(plan, broken),
};

function plan(seed: number, random: Random): Plan {
  const nodes = random.between(1, 3);
  const asked = Array.from({ length: random.between(1, 5) }, () => drawTask(random, nodes));
  const publish = random.chance(0.3) ? [drawPublish(random, nodes)] : [];
  const work: readonly Work[] = [...asked, ...publish];
  const drawn = [
    ...drawFaults(random, 4, FAULTS, { nodes, readers: 0, work, untilMs: SPAN_MS }),
    ...(random.chance(0.4) ? [outliveLease(random, asked)] : []),
  ];
  const faults = drawn.map(withinLease);
  const windowBytes = random.pick([600, 262_144]);
  return {
    scenario: "tasks",
    seed,
    nodes,
    readers: [],
    windowBytes,
    stutter: 0,
    work,
    faults,
    calmAt: calmAfter(faults, work),
  };
}

function drawTask(random: Random, nodes: number): TaskWork {
  return {
    kind: "task",
    at: Math.round(random.next() * SPAN_MS),
    node: random.between(0, nodes - 1),
    anywhere: random.chance(0.5),
    idempotent: random.chance(0.6),
    runMs: Math.round(random.chance(0.7) ? random.next() * 3000 : random.next() * 45_000),
    failures: random.chance(0.3) ? random.between(1, 6) : 0,
    cancelAfterMs: random.chance(0.15) ? random.between(1, 8000) : 0,
  };
}

function withinLease(fault: Fault): Fault {
  return fault.kind === "clock-jump" ? { ...fault, byMs: Math.max(fault.byMs, -MOST_BACK_MS) } : fault;
}

/** A node goes out of reach while it works, and comes back when its lease is over. */
function outliveLease(random: Random, asked: readonly TaskWork[]): Fault {
  const { at, node } = random.pick(asked);
  const way = random.pick(["both", "to-gateway", "to-node"] as const);
  return {
    kind: "block",
    at: at + random.between(10, 1500),
    steps: 0,
    node,
    way,
    forMs: random.between(25_000, 70_000),
  };
}

class TasksRun implements Running {
  readonly stage: Stage;
  readonly #model: ModelTasks;
  readonly #asked: readonly TaskWork[];

  constructor(plan: Plan, broken: Broken) {
    this.#asked = plan.work.filter((work) => work.kind === "task");
    const model = new ModelTasks(this.#asked.map(({ idempotent }) => idempotent));
    this.#model = model;
    const journals = Array.from({ length: plan.nodes }, () => new SimJournal());
    this.stage = new Stage(
      plan,
      {
        onCommit: (jobs) => {
          if (jobs.some(({ unit }) => TOUCH_TASKS.has(unit))) model.committed(this.stage.gateway.database);
        },
        node: (index) => {
          const journal = journals[index];
          return journal === undefined
            ? {}
            : { extras: worker(journal, model, (violation) => this.stage.fail(violation)) };
        },
      },
      broken,
    );
    publishAll(this.stage);
    for (const [index, work] of this.#asked.entries()) {
      this.stage.world.after(work.at, () => this.#submit(index, work));
    }
  }

  check(): void {
    this.stage.check();
  }

  isDone(): boolean {
    const ended = this.#asked.every((_, index) => this.#model.hasEnded(index));
    return ended && !this.#model.isBusy && this.stage.isDrained;
  }

  describeRest(): string {
    return `${this.#model.describe()}; ${this.stage.describeRest()}`;
  }

  #submit(index: number, work: TaskWork): void {
    const input: WorkInput = { task: index, runMs: work.runMs, failures: work.failures };
    const target = work.anywhere
      ? ({ kind: "any" } as const)
      : ({ kind: "device", device: deviceIdOf(work.node) } as const);
    const submit = async (core: GatewayCore): Promise<void> => {
      const task = await core.tasks.submit({
        definition: "sim.work",
        target,
        input: encodeValue(input),
        timeoutMs: TIMEOUT_MS,
        idempotencyKey: `key ${String(index)}`,
        submitter: "operator",
        idempotent: work.idempotent,
      });
      this.stage.guard(() => this.#model.taken(index, task.taskId));
      if (work.cancelAfterMs > 0) this.stage.world.after(work.cancelAfterMs, () => this.#cancel(task.taskId));
    };
    this.#ask(submit);
  }

  #cancel(taskId: string): void {
    this.#ask(async (core) => {
      try {
        await core.tasks.cancel(taskId, { reason: "no longer wanted" });
      } catch (cause) {
        // The loser of the race is told.
        if (!(cause instanceof GatewayError && cause.code === "TASK_ENDED")) throw cause;
      }
    });
  }

  /** An operator's call, until it has an answer: a gateway that dies or refuses is asked again. */
  #ask(call: (core: GatewayCore) => Promise<void>): void {
    const { stage } = this;
    const again = (): void => {
      stage.world.after(ASK_AGAIN_MS, () => this.#ask(call));
    };
    const { core, process } = stage.gateway;
    if (core === undefined || process === undefined) return again();
    let answered = false;
    process.onDeath(() => {
      if (!answered) again();
    });
    call(core).then(
      () => {
        answered = true;
      },
      (cause: unknown) => {
        answered = true;
        const passing = cause instanceof GatewayError && cause.code === "GATEWAY_DRAINING";
        if (!passing) stage.onError("an operator's call failed", cause);
        again();
      },
    );
    return undefined;
  }
}
