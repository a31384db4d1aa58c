import { systemsOf, type Samples } from "./run.ts";
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
  /** Whether every goal is reached; `null` where none of the row's goals was measured. */
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
  readonly machine: { readonly node: string; readonly os: string; readonly cores: number };
  readonly rows: readonly ResultRow[];
}

/** Whether `ratio` (ours to the peer) reaches `goal`. */
export function reaches(row: Pick<RowSpec, "better">, ratio: number, goal: number): boolean {
  return row.better === "lower" ? ratio <= goal : ratio >= goal;
}

/**
 * Put samples together.
 * @throws {Error} when a cell of a measured row has no sample
 */
export function resultOf(
  suite: Suite,
  samples: Samples,
  run: { readonly rows: readonly RowSpec[]; readonly peers: readonly string[] } & Omit<Result, "suite" | "rows">,
): Result {
  const { rows, peers, reps, rounds, quick, machine } = run;
  return { suite: suite.name, reps, rounds, quick, machine, rows: rows.map((row) => resultRow(row, samples, peers)) };
}

function resultRow(row: RowSpec, samples: Samples, chosen: readonly string[]): ResultRow {
  const cells = new Map(systemsOf(row, chosen).map((system) => [system, cellOf(samples, row.work, system)]));
  const ours = cellOf(samples, row.work, OURS);
  const peers = [...cells.keys()].filter((system) => system !== OURS);
  const middle = (list: readonly Sample[]) => significant(median(list.map(({ value }) => value)));
  const byPeer = <T>(figure: (list: readonly Sample[]) => T) =>
    Object.fromEntries(peers.map((peer) => [peer, figure(cellOf(samples, row.work, peer))]));
  const ratios = byPeer((list) => significant(middle(ours) / middle(list), 3));
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
    met: verdict(row, ratios, goal),
    ranges: Object.fromEntries([...cells].map(([system, list]) => [system, rangeOf(list.map(({ value }) => value))])),
    ratioRanges: byPeer((list) => rangeOf(list.map(({ value }, index) => (ours[index]?.value ?? Number.NaN) / value))),
    extra: extrasOf(cells),
  };
}

function verdict(row: RowSpec, ratios: BySystem, goal: BySystem): boolean | null {
  const goals = Object.entries(goal);
  if (goals.length === 0) return null;
  return goals.every(([peer, wanted]) => reaches(row, ratios[peer] ?? Number.NaN, wanted));
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
