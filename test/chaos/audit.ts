/** The log against what each node had recorded. No process, no disk: what was seen goes in, what is wrong comes out. */
import { isDeepStrictEqual } from "node:util";
import { decodeValue } from "@quaymesh/protocol";
import { bodyOf, CHAOS_KIND, keyOf, nameIn, type EventName } from "./events.ts";

/** What may be wrong. */
export const RULES = [
  "lost",
  "duplicated",
  "reordered",
  "invented",
  "altered",
  "refused-yet-recorded",
  "renumbered",
  "quarantined",
  "offset-gap",
  "read-wrong",
  "resolved-before-sync",
  "ended-by-itself",
  "not-settled",
  "surprise",
] as const;
/** One of them. */
export type Rule = (typeof RULES)[number];

/** Something that must not be. */
export interface Violation {
  readonly rule: Rule;
  readonly what: string;
}

/** A row of the gateway's log, read from the database file. */
export interface LogRow {
  readonly offset: number;
  readonly device: string;
  /** Outbox epoch, hexadecimal. */
  readonly epoch: string;
  readonly seq: number;
  readonly kind: string;
  readonly data: Uint8Array;
}

/** What a subscriber got. */
export interface ReadEvent {
  readonly offset: number;
  readonly device: string;
  readonly seq: number;
  /** Length of the body: its bytes are compared in the log. */
  readonly bytes: number;
}

/** Of what the gateway itself records about a device. */
const GATEWAY_EPOCH = "0".repeat(32);

interface Outbox {
  readonly epoch: string;
  last: number;
}

/** Remembers everything that was promised, logged and read in one world. */
export class Audit {
  readonly violations: Violation[] = [];
  /** Sequence under which `publish` resolved, by key. */
  readonly #recorded = new Map<string, number>();
  readonly #unseen = new Set<string>();
  readonly #refused = new Set<string>();
  /** Last `n` that each writer of a run heard of, by `run/writer`. */
  readonly #heard = new Map<string, number>();
  readonly #logged = new Map<string, number>();
  readonly #outboxes = new Map<string, Outbox>();
  /** Last `n` in the log by `run/writer`. */
  readonly #order = new Map<string, number>();
  /** Rows that the reader has yet to give, in order. */
  readonly #toRead: ReadEvent[] = [];
  readonly #given: ReadEvent[] = [];
  #latest = 0;
  #events = 0;

  /** Offset of the newest row that was looked at. */
  get latest(): number {
    return this.#latest;
  }

  /** Events of ours in the log so far. */
  get events(): number {
    return this.#events;
  }

  /** Events whose `publish` resolved. */
  get recorded(): number {
    return this.#recorded.size;
  }

  note(rule: Rule, what: string): void {
    this.violations.push({ rule, what });
  }

  /** `publish` resolved with `seq`, and the node said so before anything else. */
  published(name: EventName, seq: number): void {
    const key = keyOf(name);
    if (this.#recorded.has(key)) this.note("surprise", `${key} was recorded twice by its node`);
    this.#recorded.set(key, seq);
    if (!this.#logged.has(key)) this.#unseen.add(key);
    this.#hear(name);
  }

  /** `publish` rejected: it must never be in the log. */
  refused(name: EventName): void {
    this.#refused.add(keyOf(name));
    this.#hear(name);
  }

  /** The reader has given an event to its application. */
  read(event: ReadEvent): void {
    this.#given.push(event);
  }

  /** Rows of the log, in order of their offsets, behind {@link Audit.latest}. */
  log(rows: Iterable<LogRow>): void {
    for (const row of rows) {
      if (row.offset !== this.#latest + 1) this.note("offset-gap", `${row.offset} comes after ${this.#latest}`);
      this.#latest = row.offset;
      this.#toRead.push({ offset: row.offset, device: row.device, seq: row.seq, bytes: row.data.length });
      if (row.epoch !== GATEWAY_EPOCH) this.#judgeSequence(row);
      if (row.kind === CHAOS_KIND) this.#judge(row);
    }
  }

  /** Everything is said to have arrived: nothing may be missing, in the log or at the reader. */
  settled(): void {
    for (const key of this.#unseen) this.note("lost", `${key}, recorded as ${this.#recorded.get(key) ?? 0}`);
    this.#unseen.clear();
    this.#compareRead();
  }

  #hear({ run, writer, n }: EventName): void {
    this.#heard.set(`${run}/${writer}`, n);
  }

  #judge(row: LogRow): void {
    this.#events += 1;
    const name = nameIn(decodeValue(row.data));
    if (name === undefined) return this.note("invented", `offset ${row.offset} has a body that nobody wrote`);
    const key = keyOf(name);
    const at = `${key} at offset ${row.offset}`;
    if (this.#logged.has(key)) return this.note("duplicated", `${at} and ${this.#logged.get(key) ?? 0}`);
    this.#logged.set(key, row.offset);
    this.#unseen.delete(key);
    if (Buffer.compare(row.data, bodyOf(name)) !== 0) this.note("altered", at);
    if (this.#refused.has(key)) this.note("refused-yet-recorded", at);
    const seq = this.#recorded.get(key);
    if (seq !== undefined && seq !== row.seq) this.note("reordered", `${at}: recorded as ${seq}, logged as ${row.seq}`);
    const writer = `${name.run}/${name.writer}`;
    // A writer has one event under way: the next after the last it heard of may be there, and none beyond.
    if (seq === undefined && name.n > (this.#heard.get(writer) ?? 0) + 1) this.note("invented", at);
    if (name.n <= (this.#order.get(writer) ?? 0)) this.note("reordered", `${at} comes after a later one of its writer`);
    this.#order.set(writer, name.n);
  }

  /** Sequences of a device go up by one, under one epoch for as long as nobody puts a disk back. */
  #judgeSequence({ device, epoch, seq, offset }: LogRow): void {
    const outbox = this.#outboxes.get(device);
    if (outbox !== undefined && outbox.epoch !== epoch) this.note("renumbered", `${device} at offset ${offset}`);
    const before = outbox?.epoch === epoch ? outbox.last : 0;
    if (seq !== before + 1) this.note("reordered", `${device}: sequence ${seq} comes after ${before}`);
    this.#outboxes.set(device, { epoch, last: seq });
  }

  #compareRead(): void {
    // What the gateway itself records may come at any moment: the reader has it, and the next look at the log will.
    while (this.#toRead.length > 0 || (this.#given[0]?.offset ?? Infinity) <= this.#latest) {
      const [got, row] = [this.#given.shift(), this.#toRead.shift()];
      if (isDeepStrictEqual(got, row)) continue;
      this.note("read-wrong", `the reader got ${JSON.stringify(got)} where the log has ${JSON.stringify(row)}`);
      // One slip shifts everything behind it.
      this.#given.length = this.#toRead.length = 0;
    }
  }
}
