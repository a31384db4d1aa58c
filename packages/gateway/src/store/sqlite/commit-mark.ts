/**
 * How many commits there were, in the database and in a file beside it. SQLite recovers from a write-ahead log by leaving out all that comes after the first frame that is not whole: one that was cut or damaged
 * takes acknowledged commits with it, and nothing in the database says so. The file says so: it is written after each commit, so that it never knows of one that was not on disk.
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { GatewayError } from "../../errors.ts";
import { number } from "./columns.ts";
import type { Database } from "./database.ts";

/** Of a file of its own, so that it is written in one piece. */
const MARK_BYTES = 64;

/** Where the mark of a database lies. */
function markPath(databasePath: string): string {
  return `${databasePath}.commits`;
}

/**
 * Hold the database against the mark that was left.
 * @throws {GatewayError} `STORE_ROLLED_BACK` where commits are gone
 */
export function checkMark(db: Database, databasePath: string, generation: number): void {
  const mark = readMark(markPath(databasePath));
  // Of another opening: a restored copy is judged by its generation, not by this.
  if (mark?.generation !== generation) return;
  const commits = commitsOf(db);
  if (commits >= mark.commits) return;
  const gone = mark.commits - commits;
  throw new GatewayError(
    "STORE_ROLLED_BACK",
    `the last ${gone} commits are gone: the database's -wal file was cut, damaged or taken away`,
    { metadata: { commits: String(commits), seen: String(mark.commits), mark: markPath(databasePath) } },
  );
}

/** Counts commits, on disk with each of them and in the mark after it. */
export class CommitMark implements Disposable {
  readonly #db: Database;
  readonly #generation: number;
  readonly #file: number;
  #commits: number;
  #changesBefore = 0;

  private constructor(db: Database, generation: number, file: number) {
    this.#db = db;
    this.#generation = generation;
    this.#file = file;
    this.#commits = commitsOf(db);
  }

  /** Begin to count, under the generation of this opening. */
  static open(db: Database, databasePath: string, generation: number): CommitMark {
    const file = openSync(markPath(databasePath), "w", 0o600);
    const mark = new CommitMark(db, generation, file);
    mark.#write();
    return mark;
  }

  /** A transaction has begun. */
  begun(): void {
    this.#changesBefore = this.#changes();
  }

  /** It is about to be committed. @returns whether there is anything to commit */
  committing(): boolean {
    const changed = this.#changes() > this.#changesBefore;
    if (changed) this.#db.run("UPDATE commits SET count = ? WHERE id = 1", this.#commits + 1);
    return changed;
  }

  /** It is on disk. */
  committed(): void {
    this.#commits += 1;
    this.#write();
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #changes(): number {
    return this.#db.number("SELECT total_changes()");
  }

  #write(): void {
    try {
      writeSync(this.#file, encodeMark(this.#generation, this.#commits), 0, MARK_BYTES, 0);
    } catch {
      // A mark that is behind accuses nobody.
    }
  }
}

function commitsOf(db: Database): number {
  // Not there before the step of the schema that makes it.
  if (db.get("SELECT 1 FROM sqlite_schema WHERE name = 'commits'") === undefined) return 0;
  const row = db.get("SELECT count FROM commits WHERE id = 1");
  return row === undefined ? 0 : number(row, "count");
}

function encodeMark(generation: number, commits: number): Uint8Array {
  const body = `${generation} ${commits} `;
  return Buffer.from(`${body}${crc32(body)}\n`.padEnd(MARK_BYTES, "\n"));
}

function readMark(path: string): { readonly generation: number; readonly commits: number } | undefined {
  let content: string;
  try {
    content = readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
  const match = /^((\d{1,16}) (\d{1,16}) )(\d{1,10})\n*$/u.exec(content);
  if (match === null || crc32(match[1] ?? "") !== Number(match[4])) return undefined;
  return { generation: Number(match[2]), commits: Number(match[3]) };
}
