import { chmodSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { NodeError } from "../errors.ts";

/** Held until it is disposed or the process is gone, however it went. */
export interface StateLock extends Disposable {
  readonly path: string;
}

/** SQLite's "database is locked". */
const SQLITE_BUSY = 5;

/**
 * Take a state directory for this process. The lock is the kernel's (SQLite's file lock, the only one Node has): it ends with the process, so nothing
 * stale can be left by a SIGKILL.
 * @throws {NodeError} `NODE_ALREADY_RUNNING`, `STATE_UNREADABLE`
 */
export function lockState(path: string): StateLock {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    // By path: opening and closing the file here would drop the locks that this process holds on it.
    chmodSync(path, 0o600);
  } catch (cause) {
    database?.close();
    if (cause instanceof Error && "errcode" in cause && cause.errcode === SQLITE_BUSY) {
      throw new NodeError("NODE_ALREADY_RUNNING", "another process uses this state directory", {
        cause,
        details: { lock: path },
      });
    }
    throw new NodeError("STATE_UNREADABLE", `could not take the lock ${path}`, { cause });
  }
  const held = database;
  return {
    path,
    [Symbol.dispose]() {
      if (held.isOpen) held.close();
    },
  };
}
