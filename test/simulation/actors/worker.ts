import { defineTask, TaskFailure } from "@quaymesh/node";
import type { AttemptRef } from "../../../packages/node/src/tasks/journal.ts";
import { TaskRunner } from "../../../packages/node/src/tasks/runner.ts";
import type { ModelTasks } from "../model/tasks.ts";
import type { Process } from "../process.ts";
import { Violation } from "../violation.ts";
import type { NodeExtras, SimNodeOptions } from "./node.ts";

/** What a task of the simulation is given. */
export interface WorkInput {
  /** Which of the plan's. */
  readonly task: number;
  readonly runMs: number;
  readonly failures: number;
}

type Journaled = AttemptRef & { readonly definition: string };

/** The journal of a machine: on its disk, so it outlives the processes. */
export class SimJournal {
  readonly #entries = new Map<string, Journaled>();

  /** As `process` uses it: an entry is on disk once `begin` has resolved. */
  mount(process: Process) {
    const wait = <T>(work: () => T): Promise<T> => process.later(process.machine.random.next() * 2, work);
    return {
      begin: (attempt: AttemptRef, definition: string) =>
        wait(() => void this.#entries.set(keyOf(attempt), { ...attempt, definition })),
      end: (attempt: AttemptRef) => wait(() => void this.#entries.delete(keyOf(attempt))),
      leftovers: () => wait(() => [...this.#entries.values()]),
    };
  }
}

/** What a node needs to run tasks: the real runner, with one kind of work that takes its time and fails as it is told. */
export function worker(
  journal: SimJournal,
  model: ModelTasks,
  onViolation: (violation: Violation) => void,
): NonNullable<SimNodeOptions["extras"]> {
  return (process, outbox, link, flush): NonNullable<NodeExtras> => {
    const clock = process.nodeClock;
    const runner: TaskRunner = new TaskRunner({
      definitions: [work(process, model, onViolation)],
      concurrency: 2,
      maxQueued: 3,
      outbox,
      journal: journal.mount(process),
      clock,
      emit: () => Promise.reject(new Error("the work of this simulation emits nothing")),
      onChange: () => link().poke(),
      onUrgent: flush,
      log: () => undefined,
    });
    process.after(0, () => {
      // A disk that is full or fails keeps it from saying so; the next process says it then.
      runner.reportLeftovers(new AbortController().signal).catch(() => undefined);
    });
    return {
      hello: () => ({ capabilities: runner.capabilities, running: runner.running }),
      hooks: {
        running: () => runner.running,
        load: () => 0,
        onLeases: (leases) => runner.onLeases(leases),
        onDraining: () => undefined,
      },
      serve: async (session) => {
        for await (const stream of session.connection.incomingStreams) void runner.serve(stream);
      },
    };
  };
}

function work(process: Process, model: ModelTasks, onViolation: (violation: Violation) => void) {
  return defineTask({
    name: "sim.work",
    input: schema(parseInput),
    output: schema(parseOutput),
    async run({ task, runMs, failures }, { attempt, signal, progress }) {
      let run = -1;
      try {
        run = model.started(task, attempt, process);
        progress(0.5);
        await process.nodeClock.sleep(runMs, signal);
        if (attempt <= failures) throw new TaskFailure("SIM_FAILED", "as it was told", { retryable: true });
        return { run };
      } catch (cause) {
        if (cause instanceof Violation) onViolation(cause);
        throw cause;
      } finally {
        model.stopped(run);
      }
    },
  });
}

/** A Standard Schema made of a parser. */
function schema<T>(parse: (value: unknown) => T) {
  const validate = (value: unknown) => ({ value: parse(value) });
  return { "~standard": { version: 1, vendor: "simulation", validate } } as const;
}

function parseInput(value: unknown): WorkInput {
  return { task: field(value, "task"), runMs: field(value, "runMs"), failures: field(value, "failures") };
}

function parseOutput(value: unknown): { readonly run: number } {
  return { run: field(value, "run") };
}

function field(value: unknown, name: string): number {
  const found: unknown = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  if (typeof found !== "number") throw new TypeError(`${name} is no number`);
  return found;
}

function keyOf({ taskId, token }: AttemptRef): string {
  return `${taskId}/${String(token)}`;
}
