import { OURS, type Plan, type Rig, type RowSpec, type Sample, type Suite } from "./suite.ts";

/** What to run. */
export interface RunOptions {
  readonly reps: number;
  readonly plan: Plan;
  /** Rows to measure, in order. */
  readonly rows: readonly RowSpec[];
  /** Peers to measure beside ours; a row is compared with those of its peers that are listed. */
  readonly peers: readonly string[];
  readonly profileDir: string | null;
  readonly settings: Readonly<Record<string, number>>;
  readonly onSample: (cell: CellSample) => void;
  readonly onFailure: (failure: Failure) => void;
  readonly note: (text: string) => void;
  readonly signal: AbortSignal;
}

/** A sample and where it belongs. */
export interface CellSample {
  /** From 1. */
  readonly rep: number;
  readonly row: RowSpec;
  readonly system: string;
  readonly sample: Sample;
}

/** Samples by row and system, in the order they were taken: the rounds of the first repetition, then those of the next. */
export type Samples = ReadonlyMap<string, ReadonlyMap<string, readonly Sample[]>>;

/** A cell of a peer that could not be measured, or not to the end. */
export interface Failure {
  readonly work: string;
  readonly system: string;
  /** The repetition it failed in, from 1. */
  readonly rep: number;
  /** One line. */
  readonly message: string;
}

/** What a run found. */
export interface Measurements {
  readonly samples: Samples;
  readonly failures: readonly Failure[];
}

/** The systems a row is measured on: ours first, then the chosen peers it has. */
export function systemsOf(row: RowSpec, peers: readonly string[]): readonly string[] {
  return [OURS, ...Object.keys(row.goals).filter((peer) => peers.includes(peer))];
}

/**
 * Measure every cell `rounds` times in each of `reps` repetitions, interleaved: in every round all systems do a row right after each other, so that
 * a disturbance of the machine meets all of them; and each round begins with another system, so that no place in the order is anyone's privilege.
 *
 * A peer that fails at a row is not asked for it again; what it did before counts. Where ours fails, the run does: {@link Rig.measure}'s rejection is rethrown.
 */
export async function runSuite(suite: Suite, options: RunOptions): Promise<Measurements> {
  const { rows, peers, plan, profileDir, settings, note, signal } = options;
  const found = new Found();
  const systems = [...new Set(rows.flatMap((row) => systemsOf(row, peers)))];
  for (let rep = 1; rep <= options.reps; rep++) {
    await using rig = await suite.open({ systems, profileDir, settings, note, signal });
    for (const row of rows) {
      for (let round = 0; round < plan.rounds; round++) {
        for (const system of rotated(systemsOf(row, peers), rep - 1 + round)) {
          await measureCell(rig, found, { rep, round, row, system }, options);
        }
      }
    }
  }
  return found;
}

interface Turn {
  readonly rep: number;
  readonly round: number;
  readonly row: RowSpec;
  readonly system: string;
}

async function measureCell(rig: Rig, found: Found, turn: Turn, options: RunOptions): Promise<void> {
  const { plan, signal } = options;
  const { rep, round, row, system } = turn;
  const { work } = row;
  signal.throwIfAborted();
  if (found.failures.some((one) => one.work === work && one.system === system)) return;
  try {
    const sample = await rig.measure(work, system, round === 0 ? plan.first : plan.later, signal);
    found.add(work, system, sample);
    options.onSample({ rep, row, system, sample });
  } catch (error) {
    if (system === OURS || signal.aborted) throw error;
    const failure = { work, system, rep, message: lineOf(error) };
    found.failures.push(failure);
    options.onFailure(failure);
  }
}

const MAX_MESSAGE_CHARS = 300;

/** An error of a peer in one line: where it happened in its code is not ours to show. */
function lineOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split("\n")[0] ?? "").slice(0, MAX_MESSAGE_CHARS);
}

class Found implements Measurements {
  readonly samples = new Map<string, Map<string, Sample[]>>();
  readonly failures: Failure[] = [];

  add(work: string, system: string, sample: Sample): void {
    let bySystem = this.samples.get(work);
    if (bySystem === undefined) this.samples.set(work, (bySystem = new Map()));
    const list = bySystem.get(system);
    if (list === undefined) bySystem.set(system, [sample]);
    else list.push(sample);
  }
}

function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
