/**
 * Which parts of our own code were executed, as V8 counts blocks. Needs `--no-opt --no-maglev`: optimised code counts nothing.
 *
 * V8 reports a block only where its count differs from that of the block around it, so the same execution is told in many ways. What was *not* executed, as a set of source positions, is told in one.
 */
import { Session } from "node:inspector";
import type { Profiler } from "node:inspector";
import { intersect, type Ranges, sizeOf, subtract } from "./ranges.ts";

const OURS = /\/packages\/[a-z-]+\/src\/|\/test\/fuzz\/planted\//;

/** For each function that was entered: the source positions in it, and those that were not reached. */
export type Execution = ReadonlyMap<string, { readonly whole: Ranges; readonly missed: Ranges }>;

/** Source positions by function. */
export type Positions = ReadonlyMap<string, Ranges>;

/** Counts blocks from {@link BlockCoverage.start} on; one per thread. */
export class BlockCoverage implements Disposable {
  readonly #session = new Session();

  private constructor() {
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** Begin to count. What was compiled before has no counters for its blocks. */
  static start(): BlockCoverage {
    return new BlockCoverage();
  }

  /** What was executed since the last call. */
  take(): Execution {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    // An inspector session within its own thread answers before `post` returns.
    this.#session.post("Profiler.takePreciseCoverage", (error, { result }) => {
      if (error !== null) throw error;
      scripts = result;
    });
    const seen = new Map<string, { whole: Ranges; missed: Ranges }>();
    for (const { scriptId, url, functions } of scripts) {
      if (OURS.test(url)) for (const { ranges } of functions) addFunction(seen, scriptId, ranges);
    }
    return seen;
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }
}

function addFunction(
  seen: Map<string, { whole: Ranges; missed: Ranges }>,
  scriptId: string,
  [outer, ...blocks]: readonly Profiler.CoverageRange[],
): void {
  if (outer === undefined || outer.count === 0) return;
  const whole = [outer.startOffset, outer.endOffset];
  // Blocks come outside in; what is within another is told after it and overrides it.
  let reached: Ranges = whole;
  for (const { startOffset, endOffset, count } of blocks) {
    const block = [startOffset, endOffset];
    const without = subtract(reached, block);
    reached = count === 0 ? without : subtract(whole, subtract(subtract(whole, without), block));
  }
  seen.set(`${scriptId}:${String(outer.startOffset)}`, { whole, missed: subtract(whole, reached) });
}

/** Everything that was ever reached. */
export class Reached {
  readonly #missing = new Map<string, Ranges>();
  #size = 0;

  /** Source positions reached. */
  get size(): number {
    return this.#size;
  }

  /** What `execution` reached and none before. */
  fresh(execution: Execution): Positions {
    const fresh = new Map<string, Ranges>();
    for (const [name, { whole, missed }] of execution) {
      const added = subtract(this.#missing.get(name) ?? whole, missed);
      if (added.length > 0) fresh.set(name, added);
    }
    return fresh;
  }

  /** From now on what `execution` reached is not fresh. */
  add(execution: Execution): void {
    for (const [name, { whole, missed }] of execution) {
      const before = this.#missing.get(name) ?? whole;
      const after = intersect(before, missed);
      this.#size += sizeOf(before) - sizeOf(after);
      this.#missing.set(name, after);
    }
  }
}

/** Whether `execution` reached all of `positions`. */
export function reaches(execution: Execution, positions: Positions): boolean {
  for (const [name, ranges] of positions) {
    const missed = execution.get(name)?.missed;
    if (missed === undefined || intersect(ranges, missed).length > 0) return false;
  }
  return true;
}
