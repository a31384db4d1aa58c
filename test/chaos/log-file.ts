/** The gateway's database as it lies on disk, read without the gateway. */
import { DatabaseSync } from "node:sqlite";
import type { LogRow } from "./audit.ts";

/** What {@link readLog} found. */
export interface LogFile {
  readonly rows: readonly LogRow[];
  /** Events set aside because another one has their name. */
  readonly quarantined: number;
}

/** Everything behind an offset. */
export function readLog(path: string, after: number): LogFile {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
  try {
    const rows = db
      .prepare(
        `SELECT e.position AS offset, o.device_id AS device, hex(o.epoch) AS epoch, e.seq, e.kind, e.data
         FROM events e JOIN outboxes o ON o.outbox = e.outbox WHERE e.position > ? ORDER BY e.position`,
      )
      .all(after) as unknown as LogRow[];
    const quarantined = Number(db.prepare("SELECT count(*) AS n FROM quarantine").get()?.["n"]);
    return { rows, quarantined };
  } finally {
    db.close();
  }
}

/** What SQLite itself says of the whole file: `ok`, or what is wrong. */
export function checkDatabase(path: string): string {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
  try {
    return String(db.prepare("PRAGMA integrity_check(1)").get()?.["integrity_check"]);
  } finally {
    db.close();
  }
}
