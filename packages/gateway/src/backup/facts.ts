/** What a database says of itself, read from a file that nobody writes. */
import { Database } from "../store/sqlite/database.ts";
import { getMeta } from "../store/sqlite/meta.ts";
import { MIGRATIONS, APPLICATION_ID } from "../store/sqlite/schema.ts";
import { GatewayError } from "../errors.ts";

/** What a backup holds, and where in its history it was made. */
export interface StoreFacts {
  /** Version of the schema. */
  readonly schema: number;
  /** Starts of the gateway so far. */
  readonly generation: number;
  /** Losses that operators have accepted so far. */
  readonly era: number;
  readonly logId: string;
  readonly lastOffset: number;
  readonly revocationEpoch: number;
  readonly devices: number;
  readonly revoked: number;
  readonly unfinishedTasks: number;
}

/**
 * Check a database file as a whole, and read its facts.
 * @throws {GatewayError} `BACKUP_DAMAGED`, `BACKUP_NEWER`
 */
export function readFacts(path: string): StoreFacts {
  let db: Database | undefined;
  try {
    db = new Database(path, { readOnly: true });
    const verdict = db.get("PRAGMA integrity_check(1)")?.["integrity_check"];
    if (verdict !== "ok") throw new GatewayError("BACKUP_DAMAGED", `its database is damaged: ${String(verdict)}`);
    if (db.number("PRAGMA application_id") !== APPLICATION_ID) {
      throw new GatewayError("BACKUP_DAMAGED", "its database is one of something else");
    }
    return facts(db);
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    throw new GatewayError("BACKUP_DAMAGED", "its database cannot be read", { cause });
  } finally {
    db?.close();
  }
}

function facts(db: Database): StoreFacts {
  const schema = db.number("PRAGMA user_version");
  const known = MIGRATIONS.at(-1)?.version ?? 0;
  if (schema > known) {
    throw new GatewayError("BACKUP_NEWER", `the backup has schema ${schema}, this version knows ${known}`);
  }
  const meta = (key: string): string => getMeta(db, key) ?? "";
  return {
    schema,
    generation: Number(meta("generation")),
    era: Number(meta("era")),
    logId: meta("log-id"),
    lastOffset: db.number("SELECT latest FROM log WHERE id = 1"),
    revocationEpoch: Number(meta("revocation-epoch")),
    devices: db.number("SELECT count(*) FROM devices WHERE revoked_at IS NULL"),
    revoked: db.number("SELECT count(*) FROM devices WHERE revoked_at IS NOT NULL"),
    unfinishedTasks: db.number("SELECT count(*) FROM tasks WHERE active = 1"),
  };
}
