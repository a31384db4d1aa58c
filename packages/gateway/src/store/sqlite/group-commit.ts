/**
 * Group commit: everything that waits goes into one transaction, so that one fsync serves all of it. Each unit runs in a savepoint of its own; one that fails takes back its own
 * changes and nobody else's. Replies exist only after COMMIT returned.
 */
import type { CommitMark } from "./commit-mark.ts";
import type { Database } from "./database.ts";
import { toPlain } from "./errors.ts";
import type { UnitName } from "./units.ts";
import { READS, WRITES } from "./units.ts";
import type { Job, Reply } from "./wire.ts";

type AnyUnit = (db: Database, input: unknown) => unknown;

/** The unit of a job. The store's typed calls are the only ones who make jobs. */
function unitOf(name: UnitName): AnyUnit {
  return { ...WRITES, ...READS }[name] as AnyUnit;
}

/** Run `jobs` as one transaction. Never throws: every job has its reply. @param mark counts what was committed */
export function commitGroup(db: Database, jobs: readonly Job[], mark?: CommitMark): readonly Reply[] {
  try {
    db.exec("BEGIN IMMEDIATE");
    mark?.begun();
    const replies = jobs.map((job) => runInSavepoint(db, job));
    const counted = mark?.committing() === true;
    db.exec("COMMIT");
    if (counted) mark?.committed();
    return replies;
  } catch (error) {
    rollBack(db);
    const plain = toPlain(error);
    return jobs.map(({ id }): Reply => ({ id, ok: false, error: plain }));
  }
}

/** Run one read in a transaction of its own: a unit of several statements sees one state. Never throws. */
export function runRead(db: Database, job: Job): Reply {
  try {
    db.exec("BEGIN");
    const value = unitOf(job.unit)(db, job.input);
    db.exec("COMMIT");
    return { id: job.id, ok: true, value };
  } catch (error) {
    rollBack(db);
    return { id: job.id, ok: false, error: toPlain(error) };
  }
}

function runInSavepoint(db: Database, job: Job): Reply {
  db.exec("SAVEPOINT unit");
  try {
    const value = unitOf(job.unit)(db, job.input);
    db.exec("RELEASE unit");
    return { id: job.id, ok: true, value };
  } catch (error) {
    // A full disk may have ended the whole transaction; then the group is lost, not only this unit.
    if (!db.inTransaction) throw error;
    db.exec("ROLLBACK TO unit; RELEASE unit");
    return { id: job.id, ok: false, error: toPlain(error) };
  }
}

function rollBack(db: Database): void {
  if (db.inTransaction) db.exec("ROLLBACK");
}
