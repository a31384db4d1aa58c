/** What comes under a sequence that is stored with another body: kept aside, but of one device only so much. No quota of the log counts it, and a device could fill the disk with it. */
import type { AppendEvent } from "../port-events.ts";
import type { Database } from "./database.ts";

/** Rows of one device; what comes beyond them is a conflict all the same, and is not kept. Enough to see what happened. */
const MAX_ROWS = 1000;

/** The quarantine of one outbox, during one append. */
export class Quarantine {
  readonly #db: Database;
  readonly #of: { readonly deviceId: string; readonly outbox: number; readonly now: number };
  #rows: number | undefined;

  constructor(db: Database, of: { readonly deviceId: string; readonly outbox: number; readonly now: number }) {
    this.#db = db;
    this.#of = of;
  }

  /** Keep an event, if it is not there and there is room. */
  setAside(seq: number, { kind, time, data }: AppendEvent): void {
    const { outbox, now } = this.#of;
    this.#rows ??= this.#count();
    if (this.#rows >= MAX_ROWS) return;
    this.#rows += this.#db.run(
      "INSERT INTO quarantine (outbox, seq, kind, time, received, data) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
      outbox,
      seq,
      kind,
      time,
      now,
      data,
    );
  }

  #count(): number {
    const sql = `SELECT count(*) FROM (SELECT 1 FROM quarantine
      WHERE outbox IN (SELECT outbox FROM outboxes WHERE device_id = ?) LIMIT ${MAX_ROWS})`;
    return this.#db.number(sql, this.#of.deviceId);
  }
}
