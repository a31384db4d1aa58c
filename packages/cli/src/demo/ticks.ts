import type { Line } from "./child.ts";
import { DemoError, expect } from "./error.ts";

/** One `demo.*` event as a reader got it; a mark has no tick. */
export interface TickRecord {
  readonly offset: number;
  readonly seq: number;
  readonly tick: number | undefined;
}

/** What must be true of every reader's records. */
export interface Expected {
  readonly ticks: number;
  /** How many ticks the node had told of when it was killed: recorded is recorded. */
  readonly toldAtKill: number;
  /** Sequence of the first run's mark. */
  readonly firstMark: number;
}

/** What was found; both zeros, or {@link verifyRecords} throws. */
export interface Verified {
  readonly delivered: number;
  readonly duplicates: number;
  readonly lost: number;
}

/**
 * Check that a reader holds every tick once and in order, without a gap in the node's sequence.
 * @throws {DemoError} saying who lost, repeated or misplaced what
 */
export function verifyRecords(records: readonly TickRecord[], who: string, expected: Expected): Verified {
  const ticks = records.map((record) => record.tick).filter((tick) => tick !== undefined);
  const distinct = new Set(ticks);
  const duplicates = ticks.length - distinct.size;
  const lost = missing(distinct, expected.ticks);
  expect(duplicates === 0, () => `${who} has ${duplicates} events twice`);
  expect(
    lost === 0,
    () =>
      `${who} lacks ${lost} of ${expected.ticks} events, ${missing(distinct, expected.toldAtKill)} of them told of before the kill`,
  );
  const misplaced = ticks.find((tick, index) => tick !== index + 1);
  expect(misplaced === undefined, () => `${who} has tick ${misplaced} out of order`);
  const gap = records.findIndex(({ seq }, index) => seq !== expected.firstMark + index);
  expect(gap < 0, () => `${who} has a gap in the node's sequence at ${records[gap]?.seq}`);
  const back = records.findIndex(({ offset }, index) => index > 0 && offset <= (records[index - 1]?.offset ?? 0));
  expect(back < 0, () => `${who} has offset ${records[back]?.offset} after a later one`);
  return { delivered: ticks.length, duplicates, lost };
}

function missing(have: ReadonlySet<number>, upTo: number): number {
  let lost = 0;
  for (let tick = 1; tick <= upTo; tick += 1) if (!have.has(tick)) lost += 1;
  return lost;
}

/** How long the last events may take to arrive. */
const ARRIVE_MS = 60_000;
const REPORT_EVERY = 250;

/** What the subscriber's process prints, collected. */
export class Reader {
  readonly records: TickRecord[] = [];
  /** Offset after which the subscriber went on when the gateway was back; 0 before that. */
  resumedFrom = 0;
  readonly #wanted: number;
  readonly #onProgress: (ticks: number) => void;
  readonly #complete = Promise.withResolvers<void>();
  #ticks = 0;

  constructor(wanted: number, onProgress: (ticks: number) => void) {
    this.#wanted = wanted;
    this.#onProgress = onProgress;
  }

  /** Take a line of `quaymesh events tail --json`: an event, or a note such as `{ resumed: { after } }`. */
  take(line: Line): void {
    const { offset, seq, data, resumed } = line;
    if (typeof resumed === "object" && resumed !== null && "after" in resumed) this.resumedFrom = Number(resumed.after);
    if (typeof offset !== "number" || typeof seq !== "number") return;
    const tick = typeof data === "object" && data !== null && "tick" in data ? Number(data.tick) : undefined;
    this.records.push({ offset, seq, tick });
    if (tick === undefined) return;
    this.#ticks += 1;
    if (this.#ticks % REPORT_EVERY === 0) this.#onProgress(this.#ticks);
    if (this.#ticks >= this.#wanted) this.#complete.resolve();
  }

  /** Waits for as many ticks as were wanted. @throws {DemoError} when they do not come; rethrows `signal.reason` */
  async complete(signal: AbortSignal): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const late = (): void =>
      reject(new DemoError(`the subscriber has ${this.#ticks} of ${this.#wanted} events and gets no more`));
    const timer = setTimeout(late, ARRIVE_MS);
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      await Promise.race([this.#complete.promise, promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
