/** Opening the database file: whose it is, whether it is sound, which schema it has. */
import { randomUUID } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { checkHeader } from "./file-header.ts";
import { GatewayError } from "../../errors.ts";
import { checkMark, CommitMark } from "./commit-mark.ts";
import { Database } from "./database.ts";
import { storeError } from "./errors.ts";
import { checkGuards, checkVersion, keepGuards } from "./integrity.ts";
import { beginIncarnation } from "./lineage.ts";
import { APPLICATION_ID, MIGRATIONS } from "./schema.ts";

/** The schema that this version writes. */
export const LATEST_VERSION = MIGRATIONS.at(-1)?.version ?? 0;

/** What {@link openForWriting} takes; plain data, it crosses a thread. */
export interface OpenFile {
  readonly path: string;
  /** Highest generation ever seen of this store; 0 where none was. */
  readonly seenGeneration: number;
  /** Most bytes the database file may take; 0: no bound but the disk. */
  readonly maxBytes: number;
}

/** An open database, and the lock that keeps a second gateway away from it. */
export interface OpenDatabase extends Disposable {
  readonly db: Database;
  readonly mark: CommitMark;
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
    if (!fresh) checkHeader(file.path);
    db = new Database(file.path);
    if (!fresh) checkOurs(db);
    if (!fresh) checkSound(db, file);
    // Retention can then give space back to the disk. In a file that has tables it changes nothing: there, free pages are reused and the file never shrinks.
    db.exec("PRAGMA auto_vacuum = INCREMENTAL");
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    if (file.maxBytes > 0) limitSize(db, file.maxBytes);
    keepJournalsInMemory(db);
    const facts = prepare(db, file.seenGeneration);
    const opened = db;
    const mark = CommitMark.open(db, file.path, facts.generation);
    return {
      db: opened,
      mark,
      ...facts,
      [Symbol.dispose]() {
        opened.close();
        mark[Symbol.dispose]();
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

/**
 * A copy as of one moment, made in one read transaction: writers go on, and it holds nothing of what was deleted.
 * @throws {GatewayError} `STORE_CORRUPT`, `STORE_FULL`, `STORE_FAILED`
 */
export function copyDatabase(from: string, to: string): void {
  const db = openForReading(from);
  try {
    db.run("VACUUM INTO ?", to);
  } catch (error) {
    throw storeError(error);
  } finally {
    db.close();
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

/** Before anything is written, and in a time that does not grow with the log: what is in the log is held against its sums when it is read. */
function checkSound(db: Database, file: OpenFile): void {
  if (db.number("PRAGMA user_version") === 0) return;
  checkGuards(db);
  const generation = storedGeneration(db);
  if (generation < file.seenGeneration) throw rolledBack(generation, file.seenGeneration);
  checkMark(db, file.path, generation);
}

/**
 * Whose database it is, and of which version.
 * @throws {GatewayError} `STORE_CORRUPT`, `STORE_NEWER`
 */
export function checkOurs(db: Database): void {
  const id = db.number("PRAGMA application_id");
  const tables = db.number("SELECT count(*) FROM sqlite_schema");
  // A crash between creating the file and the first migration leaves an empty database: that one may be filled.
  if (tables > 0 && db.number("PRAGMA user_version") === 0) {
    throw new GatewayError("STORE_CORRUPT", "the database has tables and no version");
  }
  if (id !== APPLICATION_ID && tables > 0) {
    throw new GatewayError("STORE_CORRUPT", "the file is a database of something else");
  }
  checkVersion(db);
  const current = db.number("PRAGMA user_version");
  if (current > LATEST_VERSION) throw newer(current);
}

function limitSize(db: Database, maxBytes: number): void {
  const pageBytes = db.number("PRAGMA page_size");
  db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(maxBytes / pageBytes))}`);
}

/**
 * Each unit has a savepoint, which keeps what pages were before; beyond 64 KiB of them in one commit SQLite would write them to a file of their own, at nearly half of what an append costs. Not where the
 * schema has steps to go: what those sort may be as large as the log, and the next start will do. Before the guards, which are temporary: changing this drops them.
 */
function keepJournalsInMemory(db: Database): void {
  const current = db.number("PRAGMA user_version");
  if (current === 0 || current === LATEST_VERSION) db.exec("PRAGMA temp_store = MEMORY");
}

interface Claim {
  readonly logId: string;
  readonly generation: number;
}

/** In one transaction: a crash at any point must not leave rows that their guards do not know. */
function prepare(db: Database, seenGeneration: number): Claim {
  db.exec("BEGIN IMMEDIATE");
  try {
    migrate(db);
    const facts = claim(db, seenGeneration);
    keepGuards(db);
    db.exec("COMMIT");
    return facts;
  } catch (error) {
    if (db.inTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

/** Take the schema to this version's, in the caller's transaction. @throws {GatewayError} `STORE_NEWER` */
export function migrate(db: Database): void {
  const current = db.number("PRAGMA user_version");
  if (current > LATEST_VERSION) throw newer(current);
  for (const step of MIGRATIONS) {
    if (step.version <= current) continue;
    db.exec(step.sql);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${step.version}`);
  }
}

function claim(db: Database, seenGeneration: number): Claim {
  const stored = storedGeneration(db);
  if (stored < seenGeneration) throw rolledBack(stored, seenGeneration);
  const generation = stored + 1;
  db.run("INSERT INTO meta VALUES ('log-id', ?) ON CONFLICT DO NOTHING", randomUUID());
  db.run(
    "INSERT INTO meta VALUES ('generation', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    String(generation),
  );
  beginIncarnation(db, generation);
  return { logId: String(db.get("SELECT value FROM meta WHERE key = 'log-id'")?.["value"]), generation };
}

function storedGeneration(db: Database): number {
  return Number(db.get("SELECT value FROM meta WHERE key = 'generation'")?.["value"] ?? 0);
}

function newer(current: number): GatewayError {
  return new GatewayError("STORE_NEWER", `the database has schema ${current}, this version knows ${LATEST_VERSION}`);
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
