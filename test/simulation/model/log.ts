import { Violation } from "../violation.ts";
import type { Recorded } from "./recorded.ts";

/** A row of the log, as its reader gets it. */
export interface LogRow {
  readonly offset: number;
  readonly deviceId: string;
  readonly outboxEpoch: Uint8Array;
  readonly seq: number;
  readonly kind: string;
  readonly data: Uint8Array;
}

/** What a reader may see: devices and kinds by name, kinds also by a prefix that ends in `*`; empty is everything. */
export interface View {
  readonly kinds: readonly string[];
  readonly devices: readonly string[];
}

/** The log as it must be: a list. */
export class ModelLog {
  readonly #rows: LogRow[] = [];
  readonly #watermarks = new Map<string, number>();
  readonly #recorded: Recorded;

  constructor(recorded: Recorded) {
    this.#recorded = recorded;
  }

  /** The newest offset. */
  get latest(): number {
    return this.#rows.length;
  }

  /** Last sequence of an outbox epoch that is committed; 0 is none. */
  watermark(deviceId: string, epoch: Uint8Array): number {
    return this.#watermarks.get(outboxKey(deviceId, epoch)) ?? 0;
  }

  /** These rows were committed now. */
  append(rows: readonly LogRow[]): void {
    for (const row of rows) {
      if (row.offset !== this.latest + 1) {
        throw new Violation("offsets-grow-by-one", `offset ${String(row.offset)} after ${String(this.latest)}`);
      }
      const key = outboxKey(row.deviceId, row.outboxEpoch);
      const before = this.#watermarks.get(key) ?? 0;
      if (row.seq !== before + 1) {
        throw new Violation(
          "sequences-in-order",
          `${row.deviceId} has ${String(row.seq)} after ${String(before)} in the log`,
        );
      }
      this.#watermarks.set(key, row.seq);
      this.#rows.push(row);
      if (!row.kind.startsWith("mesh.")) this.#recorded.logged(row);
    }
  }

  /** The rows behind `after`. */
  since(after: number): readonly LogRow[] {
    return this.#rows.slice(after);
  }

  /** The gateway is back: everything that was ever committed is there. */
  checkSurvived(latest: number): void {
    if (latest === this.latest) return;
    throw new Violation(
      "committed-is-durable",
      `the log ends at ${String(latest)} where ${String(this.latest)} was committed`,
    );
  }

  /** The first row after `after` that `view` shows. */
  nextAfter(after: number, view: View): LogRow | undefined {
    for (let at = after; at < this.#rows.length; at++) {
      const row = this.#rows[at];
      if (row !== undefined && shows(view, row)) return row;
    }
    return undefined;
  }
}

/** What one reader has to get, and got. Its own cursor is not asked: that is what is tested. */
export class ModelReader {
  readonly #log: ModelLog;
  readonly #name: string;
  readonly #view: View;
  readonly #repeats: boolean;
  #last = 0;
  /** Where this run of it is; undefined before its first event. */
  #run: number | undefined = 0;

  /** @param repeats each run of it may begin with what was given before: the gateway keeps its cursor, and knows only what was acknowledged */
  constructor(log: ModelLog, name: string, view: View, repeats = false) {
    this.#log = log;
    this.#name = name;
    this.#view = view;
    this.#repeats = repeats;
  }

  /** It starts anew, from a cursor that somebody else keeps. */
  begins(): void {
    if (this.#repeats) this.#run = undefined;
  }

  /** Whether it got everything there is. */
  get isDone(): boolean {
    return this.#log.nextAfter(this.#last, this.#view) === undefined;
  }

  /** Where it is, for people. */
  get last(): number {
    return this.#last;
  }

  /** It got this: it must be the next one, whole. */
  got(row: Pick<LogRow, "offset" | "seq" | "kind" | "data">): void {
    const { offset } = row;
    // Begun anew it may be given again what it had, and from there on everything: never less than what it has not had.
    const after = this.#run ?? Math.min(offset - 1, this.#last);
    if (offset <= after) {
      throw new Violation("read-once", `${this.#name} got ${String(offset)} after ${String(after)}`);
    }
    const next = this.#log.nextAfter(after, this.#view);
    if (next?.offset !== offset) {
      const missed = next === undefined ? "there was nothing" : `next was ${String(next.offset)}`;
      throw new Violation("read-all-in-order", `${this.#name} got ${String(offset)} after ${String(after)}, ${missed}`);
    }
    if (next.seq !== row.seq || next.kind !== row.kind || Buffer.compare(next.data, row.data) !== 0) {
      throw new Violation("read-what-was-written", `${this.#name} got another event at ${String(offset)}`);
    }
    this.#run = offset;
    this.#last = Math.max(this.#last, offset);
  }
}

function shows({ kinds, devices }: View, row: LogRow): boolean {
  if (devices.length > 0 && !devices.includes(row.deviceId)) return false;
  if (kinds.length === 0) return true;
  return kinds.some((kind) => (kind.endsWith("*") ? row.kind.startsWith(kind.slice(0, -1)) : row.kind === kind));
}

/** By the epoch's bytes, which are asked for at every step. */
const NAMES = new WeakMap<Uint8Array, string>();

function outboxKey(deviceId: string, epoch: Uint8Array): string {
  let name = NAMES.get(epoch);
  if (name === undefined) {
    name = Buffer.from(epoch).toString("latin1");
    NAMES.set(epoch, name);
  }
  return deviceId + name;
}
