/** What is done to whom and when, drawn from a seed. A real machine does not repeat itself to the millisecond; what is done to it does. */
import type { Random } from "../simulation/random.ts";

/** Which disk. */
export type DiskName = "gateway" | "nodes";

/** Something done to processes or disks. Times are milliseconds, `at` from the beginning of the cycle. */
export type Fault =
  | { readonly kind: "kill"; readonly at: number; readonly whom: readonly string[]; readonly restartMs: number }
  | { readonly kind: "stop"; readonly at: number; readonly whom: string; readonly forMs: number }
  | { readonly kind: "fill"; readonly at: number; readonly disk: DiskName; readonly forMs: number };

/** What can be hit. */
export interface Targets {
  readonly posts: readonly string[];
  /** Disks small enough to be filled; none where they cannot be mounted. */
  readonly disks: readonly DiskName[];
}

/** Faults of one cycle begin within this. */
export const FAULT_WINDOW_MS = 400;
const MAX_FAULTS = 3;
const MAX_RESTART_MS = 100;

/** The faults of one cycle: one at least, in order. */
export function drawFaults(random: Random, targets: Targets): readonly Fault[] {
  const count = random.between(1, MAX_FAULTS);
  return Array.from({ length: count }, () => drawFault(random, targets)).toSorted((one, other) => one.at - other.at);
}

function drawFault(random: Random, { posts, disks }: Targets): Fault {
  const at = random.between(0, FAULT_WINDOW_MS);
  if (disks.length > 0 && random.chance(0.4)) {
    return { kind: "fill", at, disk: random.pick(disks), forMs: random.between(20, 300) };
  }
  if (random.chance(0.25)) {
    // Long enough, now and then, for the others to give the one up that stands still.
    const forMs = random.chance(0.2) ? random.between(1600, 2200) : random.between(10, 400);
    return { kind: "stop", at, whom: random.pick(posts), forMs };
  }
  const first = random.pick(posts);
  const whom = random.chance(0.2) ? [...new Set([first, random.pick(posts)])] : [first];
  return { kind: "kill", at, whom, restartMs: random.between(0, MAX_RESTART_MS) };
}
