/** What a database needs before it may go on after one that went further: nothing that the other life gave out may be given out again, or be taken for what it is not. */
import { randomUUID } from "node:crypto";
import { GatewayError } from "../errors.ts";
import { Database } from "../store/sqlite/database.ts";
import { storeError } from "../store/sqlite/errors.ts";
import { checkHeader } from "../store/sqlite/file-header.ts";
import { checkGuards, keepGuards } from "../store/sqlite/integrity.ts";
import { getMeta, putMeta, RESTORED_AT, TOKEN_FLOOR } from "../store/sqlite/meta.ts";
import { checkOurs, migrate } from "../store/sqlite/open.ts";

/** Further than any life can have gone meanwhile. */
const JUMP = 1_048_576;

/** Run `work` in one transaction on a database that nobody else has open. @throws {GatewayError} `STORE_*` */
export function withDatabase<T>(path: string, work: (db: Database) => T): T {
  let db: Database | undefined;
  try {
    checkHeader(path);
    db = new Database(path);
    checkOurs(db);
    checkGuards(db);
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    db.exec("BEGIN IMMEDIATE");
    migrate(db);
    keepGuards(db);
    const result = work(db);
    db.exec("COMMIT");
    // Into the file itself: a file that is moved alone is whole.
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return result;
  } catch (error) {
    throw error instanceof GatewayError ? error : storeError(error);
  } finally {
    db?.close();
  }
}

/**
 * Make a database of an earlier moment fit to go on:
 *
 * - join tokens are forgotten: each device has a later one, and would be taken for two;
 * - the log gets another name: offsets were given since to events that it does not hold;
 * - fencing tokens, session epochs and those of durable subscriptions jump over those given since;
 * - pairing windows are closed and undecided requests expired: what was used up, cancelled or denied since would be open again;
 * - certificates issued until `now` for keys it knows are taken, see `TrustSnapshot.adoptBefore`.
 */
export function settleRestored(db: Database, now: number): void {
  db.run("UPDATE devices SET join_current = NULL, join_previous = NULL, session_epoch = session_epoch + ?", JUMP);
  // A consumer of the other life could still acknowledge what it read there.
  db.run("UPDATE subscriptions SET epoch = epoch + ?", JUMP);
  putMeta(db, { key: "log-id", value: randomUUID() });
  const highest = Math.max(db.number("SELECT max(token) FROM tasks"), Number(getMeta(db, TOKEN_FLOOR) ?? 0));
  putMeta(db, { key: TOKEN_FLOOR, value: String(highest + JUMP) });
  putMeta(db, { key: RESTORED_AT, value: String(now) });
  db.run("UPDATE pairing_windows SET state = 'closed', sealed_code = NULL WHERE state = 'open'");
  const undecided = "state IN ('pending', 'approved')";
  db.run(`UPDATE pairing_requests SET state = 'expired', updated_at = ? WHERE ${undecided}`, now);
}
