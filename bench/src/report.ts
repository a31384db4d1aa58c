import { systemsOf, type Failure, type Measurements, type Samples } from "./run.ts";
import { median, range, significant } from "./stats.ts";
import { OURS, type RowSpec, type Sample, type Suite } from "./suite.ts";

/** Figures of one kind by system, {@link OURS} among them. */
type BySystem<T = number> = Readonly<Record<string, T>>;

/** One row of a result; medians over all samples. */
export interface ResultRow {
  readonly work: string;
  readonly unit: string;
  readonly better: "lower" | "higher";
  readonly ours: number;
  readonly peers: BySystem;
  /** Median of ours divided by the median of each peer. */
  readonly ratios: BySystem;
  /** The ratio to reach, by peer; peers without a goal are not listed. */
  readonly goal: BySystem;
  /** What our own figure must be at most or at least, by {@link ResultRow.better}; `null` where that is left to ratios. */
  readonly bound: number | null;
  /** Whether every goal and bound is reached; `null` where none was measured. A goal whose peer failed counts as not measured. */
  readonly met: boolean | null;
  /** Lowest and highest value, by system. */
  readonly ranges: BySystem<readonly [number, number]>;
  /** Lowest and highest ratio within one round, by peer. */
  readonly ratioRanges: BySystem<readonly [number, number]>;
  /** Medians of further figures of the same runs, by name, then by system. */
  readonly extra: Readonly<Record<string, BySystem>>;
}

/** The form of every bench, and the last line of `--json`. */
export interface Result {
  readonly suite: string;
  readonly reps: number;
  /** Samples of each cell in one repetition. */
  readonly rounds: number;
  /** True for `--quick`: the figures say that it works, not how fast it is. */
  readonly quick: boolean;
  /** The suite's own numbers, by name: how many sessions, for instance. */
  readonly settings: Readonly<Record<string, number>>;
  readonly machine: { readonly node: string; readonly os: string; readonly cores: number };
  readonly rows: readonly ResultRow[];
  /** Cells of peers that could not be measured, or not to the end. */
  readonly failures: readonly Failure[];
}

/** Whether `figure` (ours to the peer, or ours alone) reaches `goal`. */
export function reaches(row: Pick<RowSpec, "better">, figure: number, goal: number): boolean {
  return row.better === "lower" ? figure <= goal : figure >= goal;
}

/**
 * Put samples together. A peer without a sample in a row is left out of it; `failures` says why.
 * @throws {Error} when a row of ours has no sample
 */
export function resultOf(
  suite: Suite,
  found: Measurements,
  run: { readonly rows: readonly RowSpec[]; readonly peers: readonly string[] } & Omit<
    Result,
    "suite" | "rows" | "failures"
  >,
): Result {
  const { rows, peers, ...rest } = run;
  const { samples, failures } = found;
  return { suite: suite.name, ...rest, rows: rows.map((row) => resultRow(row, samples, peers)), failures };
}

/** Peers that have a goal in a row of `result` and could not be measured there. */
export function goalsUnmeasured(suite: Suite, result: Result): readonly Failure[] {
  return result.failures.filter(({ work, system }) => {
    const goal = suite.rows.find((row) => row.work === work)?.goals[system];
    const isThere = result.rows.find((row) => row.work === work)?.peers[system] !== undefined;
    return goal != null && !isThere;
  });
}

function resultRow(row: RowSpec, samples: Samples, chosen: readonly string[]): ResultRow {
  const ours = cellOf(samples, row.work, OURS);
  const measured = systemsOf(row, chosen).filter((system) => samples.get(row.work)?.has(system));
  const cells = new Map(measured.map((system) => [system, cellOf(samples, row.work, system)]));
  const peers = measured.filter((system) => system !== OURS);
  const middle = (list: readonly Sample[]) => significant(median(list.map(({ value }) => value)));
  const byPeer = <T>(figure: (list: readonly Sample[]) => T) =>
    Object.fromEntries(peers.map((peer) => [peer, figure(cellOf(samples, row.work, peer))]));
  const compared = <T>(figures: BySystem<T>): BySystem<T> => (row.isIncomparable === true ? {} : figures);
  const ratios = compared(byPeer((list) => significant(middle(ours) / middle(list), 3)));
  const goal = Object.fromEntries(
    Object.entries(row.goals).filter((entry): entry is [string, number] => entry[1] !== null && entry[0] in ratios),
  );
  return {
    work: row.work,
    unit: row.unit,
    better: row.better,
    ours: middle(ours),
    peers: byPeer(middle),
    ratios,
    goal,
    bound: row.bound ?? null,
    met: verdict(row, middle(ours), { ratios, goal }),
    ranges: Object.fromEntries([...cells].map(([system, list]) => [system, rangeOf(list.map(({ value }) => value))])),
    ratioRanges: compared(
      byPeer((list) => rangeOf(list.map(({ value }, index) => (ours[index]?.value ?? Number.NaN) / value))),
    ),
    extra: extrasOf(cells),
  };
}

function verdict(
  row: RowSpec,
  ours: number,
  { ratios, goal }: { readonly ratios: BySystem; readonly goal: BySystem },
): boolean | null {
  const judged = Object.entries(goal).map(([peer, wanted]) => reaches(row, ratios[peer] ?? Number.NaN, wanted));
  if (row.bound !== undefined) judged.push(reaches(row, ours, row.bound));
  return judged.length === 0 ? null : judged.every(Boolean);
}

function rangeOf(values: readonly number[]): readonly [number, number] {
  const [lowest, highest] = range(values);
  return [significant(lowest), significant(highest)];
}

function extrasOf(cells: ReadonlyMap<string, readonly Sample[]>): Record<string, BySystem> {
  const extras: Record<string, Record<string, number>> = {};
  for (const [system, list] of cells) {
    for (const name of Object.keys(list[0]?.extra ?? {})) {
      const values = list.map(({ extra }) => extra?.[name] ?? Number.NaN);
      (extras[name] ??= {})[system] = significant(median(values));
    }
  }
  return extras;
}

function cellOf(samples: Samples, work: string, system: string): readonly Sample[] {
  const list = samples.get(work)?.get(system);
  if (list === undefined || list.length === 0) throw new Error(`${work}: ${system} was not measured`);
  return list;
}
