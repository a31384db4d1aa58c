import { OURS, type Budget, type RowSpec, type Sample, type Suite } from "./suite.ts";

/** What to run. */
export interface RunOptions {
  readonly reps: number;
  readonly budget: Budget;
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

/** Samples by row and system, one per repetition, in the order of the repetitions. */
export type Samples = ReadonlyMap<string, ReadonlyMap<string, readonly Sample[]>>;

/** The systems a row is measured on: ours first, then the chosen peers it has. */
export function systemsOf(row: RowSpec, peers: readonly string[]): readonly string[] {
  return [OURS, ...Object.keys(row.goals).filter((peer) => peers.includes(peer))];
}

/**
 * Measure every cell `reps` times, interleaved: all systems do a row right after each other, so that a disturbance of the machine meets
 * all of them; and each repetition begins with another system, so that no place in the order is anyone's privilege.
 */
export async function runSuite(suite: Suite, options: RunOptions): Promise<Samples> {
  const { rows, peers, budget, signal } = options;
  const samples = new Map<string, Map<string, Sample[]>>();
  const systems = [...new Set(rows.flatMap((row) => systemsOf(row, peers)))];
  for (let rep = 1; rep <= options.reps; rep++) {
    await using rig = await suite.open({ systems, profileDir: options.profileDir, signal });
    for (const row of rows) {
      for (const system of rotated(systemsOf(row, peers), rep - 1)) {
        signal.throwIfAborted();
        const sample = await rig.measure(row.work, system, budget, signal);
        bucket(samples, row.work, system).push(sample);
        options.onSample({ rep, row, system, sample });
      }
    }
  }
  return samples;
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
