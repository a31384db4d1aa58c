/** The end of the log while a unit appends to it: offset, time and amount of data, and a mark at every 1024th offset. */
import { number } from "./columns.ts";
import type { Database } from "./database.ts";

/** Offsets from one mark to the next: bounds what finding a time has to look at. The schema's first marks are made at the same distance. */
const MARK_EVERY = 1024;

const INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)";

/** What goes into the log. */
export interface TailEvent {
  readonly outbox: number;
  readonly seq: number;
  readonly kind: string;
  readonly time: number;
  readonly received: number;
  readonly data: Uint8Array;
}

/** Appends, then {@link LogTail.save}s; both in the caller's transaction. */
export class LogTail {
  readonly #db: Database;
  #offset: number;
  /** Greatest `received` so far: the wall clock may go back, this does not. */
  #high: number;
  #bytes: number;

  constructor(db: Database) {
    this.#db = db;
    const row = db.get("SELECT latest, high, bytes FROM log WHERE id = 1");
    this.#offset = row === undefined ? 0 : number(row, "latest");
    this.#high = row === undefined ? 0 : number(row, "high");
    this.#bytes = row === undefined ? 0 : number(row, "bytes");
  }

  /** Of the newest event. */
  get offset(): number {
    return this.#offset;
  }

  append({ outbox, seq, kind, time, received, data }: TailEvent): void {
    this.#offset += 1;
    this.#high = Math.max(this.#high, received);
    this.#bytes += data.length;
    this.#db.run(INSERT_EVENT, this.#offset, outbox, seq, kind, time, received, data);
    if (this.#offset % MARK_EVERY !== 0) return;
    this.#db.run("INSERT INTO log_marks VALUES (?, ?, ?)", this.#offset, this.#high, this.#bytes);
  }

  save(): void {
    this.#db.run("UPDATE log SET latest = ?, high = ?, bytes = ? WHERE id = 1", this.#offset, this.#high, this.#bytes);
  }
}
