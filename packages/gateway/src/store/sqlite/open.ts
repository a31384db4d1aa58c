/** Opening the database file: whose it is, whether it is sound, which schema it has. */
import { randomUUID } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { GatewayError } from "../../errors.ts";
import { Database } from "./database.ts";
import { storeError } from "./errors.ts";
import { APPLICATION_ID, MIGRATIONS } from "./schema.ts";

/** What {@link openForWriting} takes; plain data, it crosses a thread. */
export interface OpenFile {
  readonly path: string;
  /** Highest generation ever seen of this store; 0 where none was. */
  readonly seenGeneration: number;
  /** Most bytes the database file may take; 0: no bound but the disk. */
  readonly maxBytes: number;
}

/** An open database, and the lock that keeps a second gateway away from it. */
interface OpenDatabase extends Disposable {
  readonly db: Database;
  readonly logId: string;
  readonly generation: number;
}

/**
 * Lock, check, migrate, count the generation up.
 * @throws {GatewayError} `STORE_IN_USE`, `STORE_CORRUPT`, `STORE_NEWER`, `STORE_ROLLED_BACK`, `STORE_FULL`, `STORE_FAILED`
 */
export function openForWriting(file: OpenFile): OpenDatabase {
  const lock = takeLock(`${file.path}.lock`);
  let db: Database | undefined;
  try {
    const fresh = !existsSync(file.path);
    if (fresh && file.seenGeneration > 0) throw rolledBack(0, file.seenGeneration);
    makePrivate(file.path);
    db = new Database(file.path);
    checkSound(db);
    if (!fresh) checkOurs(db);
    // Retention can then give space back to the disk. In a file that has tables it changes nothing: there, free pages are reused and the file never shrinks.
    db.exec("PRAGMA auto_vacuum = INCREMENTAL");
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    if (file.maxBytes > 0) limitSize(db, file.maxBytes);
    migrate(db);
    const facts = claim(db, file.seenGeneration);
    const opened = db;
    return {
      db: opened,
      ...facts,
      [Symbol.dispose]() {
        opened.close();
        lock.close();
      },
    };
  } catch (error) {
    db?.close();
    lock.close();
    throw storeError(error);
  }
}

/** A read-only connection beside the writing one. */
export function openForReading(path: string): Database {
  try {
    return new Database(path, { readOnly: true });
  } catch (error) {
    throw storeError(error);
  }
}

/** An exclusive transaction on a file of its own: the kernel lets go of it when the process dies, however it dies. */
function takeLock(path: string): Database {
  let lock: Database | undefined;
  try {
    makePrivate(path);
    lock = new Database(path, { busyTimeoutMs: 0 });
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock?.close();
    const cause = storeError(error);
    if (cause.code === "STORE_IN_USE") {
      throw new GatewayError("STORE_IN_USE", "another gateway has this store open", { cause });
    }
    throw cause;
  }
}

/** SQLite makes files for everyone to read; one that exists keeps its mode, and -wal and -shm take it over. */
function makePrivate(path: string): void {
  closeSync(openSync(path, "a", 0o600));
}

function checkSound(db: Database): void {
  const rows = db.all("PRAGMA quick_check(1)");
  const verdict = rows[0]?.["quick_check"];
  if (verdict !== "ok") throw new GatewayError("STORE_CORRUPT", `the database is damaged: ${String(verdict)}`);
}

function checkOurs(db: Database): void {
  const id = db.number("PRAGMA application_id");
  const tables = db.number("SELECT count(*) FROM sqlite_schema");
  // A crash between creating the file and the first migration leaves an empty database: that one may be filled.
  if (id !== APPLICATION_ID && tables > 0) {
    throw new GatewayError("STORE_CORRUPT", "the file is a database of something else");
  }
}

function limitSize(db: Database, maxBytes: number): void {
  const pageBytes = db.number("PRAGMA page_size");
  db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(maxBytes / pageBytes))}`);
}

function migrate(db: Database): void {
  const latest = MIGRATIONS.at(-1)?.version ?? 0;
  const current = db.number("PRAGMA user_version");
  if (current > latest) {
    throw new GatewayError("STORE_NEWER", `the database has schema ${current}, this version knows ${latest}`);
  }
  for (const step of MIGRATIONS) {
    if (step.version <= current) continue;
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(step.sql);
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${step.version}`);
      db.exec("COMMIT");
    } catch (error) {
      db.exec("ROLLBACK");
      throw error;
    }
  }
}

function claim(db: Database, seenGeneration: number): { readonly logId: string; readonly generation: number } {
  const stored = Number(db.get("SELECT value FROM meta WHERE key = 'generation'")?.["value"] ?? 0);
  if (stored < seenGeneration) throw rolledBack(stored, seenGeneration);
  const generation = stored + 1;
  db.exec("BEGIN IMMEDIATE");
  db.run("INSERT INTO meta VALUES ('log-id', ?) ON CONFLICT DO NOTHING", randomUUID());
  db.run(
    "INSERT INTO meta VALUES ('generation', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    String(generation),
  );
  db.exec("COMMIT");
  return { logId: String(db.get("SELECT value FROM meta WHERE key = 'log-id'")?.["value"]), generation };
}

function rolledBack(stored: number, seen: number): GatewayError {
  return new GatewayError(
    "STORE_ROLLED_BACK",
    `the database is at generation ${stored}, generation ${seen} was seen before`,
    {
      metadata: { stored: String(stored), seen: String(seen) },
    },
  );
}
