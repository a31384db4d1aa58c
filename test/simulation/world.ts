/** Virtual time: what is to happen, in order. Nothing else in a simulation waits for anything. */
import { settleRealWork } from "./real-work.ts";

/** Milliseconds on the wall when a simulation begins. */
export const EPOCH_MS = 1_800_000_000_000;

interface Entry {
  readonly at: number;
  /** Of two at the same time, the one that was planned first comes first. */
  readonly order: number;
  /** Taken away when it is cancelled. */
  run: (() => void) | undefined;
}

/** The one clock and the one queue of a simulation. */
export class World {
  #now = 0;
  #order = 0;
  #steps = 0;
  #skippedMs = 0;
  readonly #heap: Entry[] = [];
  /** What waits for a number of steps, by the step. */
  readonly #atStep = new Map<number, (() => void)[]>();

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#now;
  }

  /** Milliseconds on a wall clock that is right. */
  get wallMs(): number {
    return EPOCH_MS + this.#skippedMs + this.#now;
  }

  /** The calendar moves on, and nothing happens meanwhile: everybody sleeps. */
  skip(ms: number): void {
    this.#skippedMs += ms;
  }

  /** Events so far. */
  get steps(): number {
    return this.#steps;
  }

  /** Call `run` once, `delayMs` from now. @returns take it back */
  after(delayMs: number, run: () => void): () => void {
    const entry: Entry = { at: this.#now + Math.max(0, delayMs), order: this.#order++, run };
    this.#push(entry);
    return () => {
      entry.run = undefined;
    };
  }

  /** Call `run` after so many more events, whatever they are: crashes come between any two. */
  inSteps(steps: number, run: () => void): void {
    if (steps <= 0) return run();
    const at = this.#steps + steps;
    this.#atStep.set(at, [...(this.#atStep.get(at) ?? []), run]);
    return undefined;
  }

  /**
   * Let the next event happen, and everything that promises make of it.
   * @returns whether there was one
   */
  async step(): Promise<boolean> {
    for (let entry = this.#pop(); entry !== undefined; entry = this.#pop()) {
      if (entry.run === undefined) continue;
      this.#now = Math.max(this.#now, entry.at);
      this.#steps += 1;
      entry.run();
      await turn();
      const due = this.#atStep.get(this.#steps);
      if (due !== undefined) {
        this.#atStep.delete(this.#steps);
        for (const run of due) run();
        await turn();
      }
      return true;
    }
    return false;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || isBefore(parent, entry)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || first === last) return first;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const left = heap[down];
      if (left === undefined) break;
      const right = heap[down + 1];
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (child === right) down += 1;
      if (isBefore(last, child)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** Every promise that can settle now has settled when this does. */
export async function turn(): Promise<void> {
  do {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  } while (await settleRealWork());
}
