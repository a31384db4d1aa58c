/** What a suite is to the runner: rows to fill, and a rig that fills one cell at a time. */

/** Our side of every comparison; every other system of a row is a peer. */
export const OURS = "ours";

/** One comparison. `goals` and `ratios` are always ours divided by the peer, whichever way is better. */
export interface RowSpec {
  /** Short name, as `--only` takes it. */
  readonly work: string;
  readonly unit: string;
  readonly better: "lower" | "higher";
  /** One line for people. */
  readonly about: string;
  /** Peers of this row, each with the ratio that must be reached or `null` where it is shown for orientation only. */
  readonly goals: Readonly<Record<string, number | null>>;
  /** What our own figure must be at most (`lower`) or at least (`higher`), in the row's unit, whatever the peers do. */
  readonly bound?: number;
  /** The figure is a ratio itself, or lies about zero: ours is not divided by the peer's. */
  readonly isIncomparable?: true;
}

/** A number of a suite that the command line may change. */
export interface SettingSpec {
  /** As the command line has it: `sessions` for `--sessions N`. */
  readonly name: string;
  /** A few words for people. */
  readonly about: string;
  readonly default: number;
  /** With `--quick`. */
  readonly quick: number;
  readonly least: number;
  readonly most: number;
}

/** How long one sample is warmed up and then measured. The same for every system of a run. */
export interface Budget {
  readonly warmupMs: number;
  readonly measureMs: number;
}

/** How the time of a repetition is spent. */
export interface Plan {
  /** Samples of each cell in one repetition, the systems taking turns: many short turns share a disturbance more evenly than one long. */
  readonly rounds: number;
  /** The first sample of a cell: its code is not compiled yet. */
  readonly first: Budget;
  /** The other samples. */
  readonly later: Budget;
}

/** One measured cell: the value in the row's unit and further figures of the same run. */
export interface Sample {
  readonly value: number;
  /** Further figures by name and unit, for example `p99 µs`. */
  readonly extra?: Readonly<Record<string, number>>;
}

/** Systems set up and waiting to be measured; disposing it ends them. */
export interface Rig extends AsyncDisposable {
  /** Rejects when the system fails, answers wrongly or hangs. */
  measure(work: string, system: string, budget: Budget, signal: AbortSignal): Promise<Sample>;
}

/** What a rig is made for. */
export interface RigOptions {
  /** The systems that will be measured, {@link OURS} among them. */
  readonly systems: readonly string[];
  /** Where to write CPU profiles, or `null`. */
  readonly profileDir: string | null;
  /** A value for each of {@link Suite.settings}, by name. */
  readonly settings: Readonly<Record<string, number>>;
  /** Tell people what goes on within a long measurement. */
  readonly note: (text: string) => void;
  readonly signal: AbortSignal;
}

/** A bench suite. Each repetition gets a rig of its own, so no system profits from an earlier repetition. */
export interface Suite {
  readonly name: string;
  readonly about: string;
  /** How long a plain run takes, in words. */
  readonly takes: string;
  readonly rows: readonly RowSpec[];
  /** Peers that are measured only when they are named: slow ones, for orientation. */
  readonly optionalPeers: readonly string[];
  readonly settings: readonly SettingSpec[];
  /** Repetitions of a plain run. */
  readonly reps: number;
  readonly plan: Plan;
  /** For `--quick`: a look at whether it works, not a figure to quote. */
  readonly quickPlan: Plan;
  open(options: RigOptions): Promise<Rig>;
}
