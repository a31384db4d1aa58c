import { open, readFile, stat, unlink, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { GatewayError } from "../errors.ts";
import { errnoOf } from "./errno.ts";
import type { StateLayout } from "./state-directory.ts";

/**
 * Keeps a second gateway off the same state. The lock is the kernel's, taken through SQLite on an empty file of its own: it ends with the
 * process however that ends, so there is no stale lock to judge, and between two processes of one machine no race to win.
 */
export class StateLock implements AsyncDisposable {
  readonly #layout: StateLayout;
  #database: DatabaseSync | undefined;

  private constructor(layout: StateLayout, database: DatabaseSync) {
    this.#layout = layout;
    this.#database = database;
  }

  /** @throws {GatewayError} `GATEWAY_ALREADY_RUNNING` naming the process, `STATE_NOT_WRITABLE` */
  static async acquire(layout: StateLayout): Promise<StateLock> {
    await createPrivate(layout.lock);
    const database = openLock(layout.lock);
    try {
      // In memory: nothing is ever written, and no journal file may be left behind.
      database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    } catch (cause) {
      database.close();
      throw isBusy(cause) ? await alreadyRunning(layout, cause) : unusable(layout.lock, cause);
    }
    const lock = new StateLock(layout, database);
    try {
      await writeFile(layout.pid, `${process.pid}\n`, { mode: 0o600 });
    } catch (cause) {
      await lock[Symbol.asyncDispose]();
      throw unusable(layout.pid, cause);
    }
    return lock;
  }

  /** Let go. The lock file stays: removing it would let two gateways hold locks on two files of one name. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    const database = this.#database;
    if (database === undefined) return;
    this.#database = undefined;
    await unlink(this.#layout.pid).catch(() => {});
    database.close();
  }
}

function openLock(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 0 });
  } catch (cause) {
    throw unusable(path, cause);
  }
}

async function createPrivate(path: string): Promise<void> {
  try {
    const handle = await open(path, "wx", 0o600);
    await handle.close();
  } catch (cause) {
    if (errnoOf(cause) !== "EEXIST") throw unusable(path, cause);
    if ((await stat(path)).isFile()) return;
    throw new GatewayError("STATE_NOT_WRITABLE", `${path} is no file, and must be one: move away what has its name`, {
      cause,
      metadata: { path },
    });
  }
}

function unusable(path: string, cause: unknown): GatewayError {
  return new GatewayError("STATE_NOT_WRITABLE", `${path} cannot be locked: ${String(cause)}`, {
    cause,
    metadata: { path },
  });
}

/** SQLITE_BUSY: someone else holds the lock. @see https://www.sqlite.org/rescode.html#busy */
function isBusy(cause: unknown): boolean {
  return cause instanceof Error && "errcode" in cause && cause.errcode === 5;
}

async function alreadyRunning(layout: StateLayout, cause: unknown): Promise<GatewayError> {
  const pid = await readFile(layout.pid, "utf8").then(
    (text) => text.trim(),
    () => "",
  );
  const who = pid === "" ? "another process" : `process ${pid}`;
  return new GatewayError("GATEWAY_ALREADY_RUNNING", `a gateway already runs on ${layout.directory}: ${who}`, {
    cause,
    metadata: { path: layout.directory, ...(pid !== "" && { pid }) },
  });
}
