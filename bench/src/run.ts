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
  readonly onSample: (cell: CellSample) => void;
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

/** The systems a row is measured on: ours first, then the chosen peers it has. */
export function systemsOf(row: RowSpec, peers: readonly string[]): readonly string[] {
  return [OURS, ...Object.keys(row.goals).filter((peer) => peers.includes(peer))];
}

/**
 * Measure every cell `rounds` times in each of `reps` repetitions, interleaved: in every round all systems do a row right after each other, so that
 * a disturbance of the machine meets all of them; and each round begins with another system, so that no place in the order is anyone's privilege.
 */
export async function runSuite(suite: Suite, options: RunOptions): Promise<Samples> {
  const { rows, peers, plan, signal } = options;
  const samples = new Map<string, Map<string, Sample[]>>();
  const systems = [...new Set(rows.flatMap((row) => systemsOf(row, peers)))];
  for (let rep = 1; rep <= options.reps; rep++) {
    await using rig = await suite.open({ systems, profileDir: options.profileDir, signal });
    for (const row of rows) {
      for (let round = 0; round < plan.rounds; round++) {
        for (const system of rotated(systemsOf(row, peers), rep - 1 + round)) {
          const sample = await sampleOf(rig, row, system, round, options);
          bucket(samples, row.work, system).push(sample);
          options.onSample({ rep, row, system, sample });
        }
      }
    }
  }
  return samples;
}

async function sampleOf(rig: Rig, row: RowSpec, system: string, round: number, options: RunOptions): Promise<Sample> {
  const { plan, signal } = options;
  signal.throwIfAborted();
  return await rig.measure(row.work, system, round === 0 ? plan.first : plan.later, signal);
}

function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function bucket(samples: Map<string, Map<string, Sample[]>>, work: string, system: string): Sample[] {
  let bySystem = samples.get(work);
  if (bySystem === undefined) samples.set(work, (bySystem = new Map()));
  let list = bySystem.get(system);
  if (list === undefined) bySystem.set(system, (list = []));
  return list;
}
