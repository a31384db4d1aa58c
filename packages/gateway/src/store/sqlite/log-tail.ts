/** The end of the log while a unit appends to it: offset, time and amount of data, and a mark at every 1024th offset. */
import { number } from "./columns.ts";
import type { Database } from "./database.ts";
import { eventCost, eventSum, type OutboxSum } from "./event-sum.ts";

/** Offsets from one mark to the next: bounds what finding a time has to look at. The schema's first marks are made at the same distance. */
const MARK_EVERY = 1024;

/** Rows that one statement inserts: a quarter of what a row costs is the call. */
const ROWS = 16;
const COLUMNS = 8;
const INSERT_ROW = insertOf(1);
const INSERT_ROWS = insertOf(ROWS);

/** What goes into the log. */
export interface TailEvent {
  readonly seq: number;
  readonly kind: string;
  readonly time: number;
  readonly received: number;
  readonly data: Uint8Array;
}

function insertOf(rows: number): string {
  const row = `(${Array.from({ length: COLUMNS }, () => "?").join(", ")})`;
  return `INSERT INTO events VALUES ${Array.from({ length: rows }, () => row).join(", ")}`;
}

/** Whose events are appended. */
interface TailOutbox {
  readonly outbox: number;
  readonly sum: OutboxSum;
}

/** Appends, then {@link LogTail.save}s, and only then are all of them there; both in the caller's transaction. */
export class LogTail {
  readonly #db: Database;
  readonly #outbox: TailOutbox;
  /** What was appended counts for. */
  #cost = 0;
  #offset: number;
  /** Greatest `received` so far: the wall clock may go back, this does not. */
  #high: number;
  /** Greatest `received` since the last mark. */
  #top: number;
  #bytes: number;
  /** Columns of rows that are not inserted yet, one row behind the other. */
  #rows: (number | string | Uint8Array)[] = [];

  constructor(db: Database, outbox: TailOutbox) {
    this.#db = db;
    this.#outbox = outbox;
    const row = db.get("SELECT latest, high, top, bytes FROM log WHERE id = 1");
    this.#offset = row === undefined ? 0 : number(row, "latest");
    this.#high = row === undefined ? 0 : number(row, "high");
    this.#top = row === undefined ? 0 : number(row, "top");
    this.#bytes = row === undefined ? 0 : number(row, "bytes");
  }

  /** Of the newest event. */
  get offset(): number {
    return this.#offset;
  }

  append(event: TailEvent): void {
    const { seq, kind, time, received, data } = event;
    const { outbox, sum } = this.#outbox;
    this.#offset += 1;
    this.#high = Math.max(this.#high, received);
    this.#top = Math.max(this.#top, received);
    this.#bytes += data.length;
    this.#cost += eventCost(data.length);
    const checked = eventSum(sum, { ...event, offset: this.#offset });
    this.#rows.push(this.#offset, outbox, seq, kind, time, received, checked, data);
    if (this.#rows.length === ROWS * COLUMNS) this.#insert();
    if (this.#offset % MARK_EVERY !== 0) return;
    this.#db.run("INSERT INTO log_marks VALUES (?, ?, ?, ?)", this.#offset, this.#high, this.#bytes, this.#top);
    this.#top = 0;
  }

  /** @param ackedSeq the outbox's last sequence from now on */
  save(ackedSeq: number): void {
    this.#insert();
    this.#db.run(
      "UPDATE log SET latest = ?, high = ?, top = ?, bytes = ?, held_bytes = held_bytes + ? WHERE id = 1",
      this.#offset,
      this.#high,
      this.#top,
      this.#bytes,
      this.#cost,
    );
    const sql = "UPDATE outboxes SET acked_seq = ?, held_bytes = held_bytes + ? WHERE outbox = ?";
    this.#db.run(sql, ackedSeq, this.#cost, this.#outbox.outbox);
  }

  #insert(): void {
    const rows = this.#rows;
    this.#rows = [];
    if (rows.length === ROWS * COLUMNS) this.#db.run(INSERT_ROWS, ...rows);
    else for (let at = 0; at < rows.length; at += COLUMNS) this.#db.run(INSERT_ROW, ...rows.slice(at, at + COLUMNS));
  }
}
