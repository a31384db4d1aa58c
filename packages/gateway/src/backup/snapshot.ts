/** A consistent copy of a database that goes on being written. */
import { closeSync, openSync } from "node:fs";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { GatewayError } from "../errors.ts";
import { fromPlain } from "../store/sqlite/errors.ts";
import type { FromWorker, WorkerRole } from "../store/sqlite/wire.ts";

// The same file as a source and as built: the extension is this module's own.
const WORKER = import.meta.url.endsWith(".ts")
  ? new URL("../store/sqlite/worker.ts", import.meta.url)
  : new URL("../store/sqlite/worker.js", import.meta.url);

/**
 * Copy the database `from` as of one moment to the file `to`, which must not exist. A thread of its own reads it: writers go on, while the WAL grows by what they write meanwhile.
 * @throws {GatewayError} `STORE_FULL`, `STORE_CORRUPT`, `STORE_FAILED`
 */
export async function snapshotDatabase(from: string, to: string): Promise<void> {
  // SQLite would make it for everyone to read; an empty file is as good as none to it.
  closeSync(openSync(to, "wx", 0o600));
  const role: WorkerRole = { kind: "snapshot", from, to };
  const worker = new Worker(WORKER, { workerData: role, name: "quaymesh-store-snapshot" });
  const exited = once(worker, "exit");
  const [first]: FromWorker[] = await once(worker, "message");
  await exited;
  if (first?.kind === "opened") return;
  throw first?.kind === "refused"
    ? fromPlain(first.error)
    : new GatewayError("STORE_FAILED", "the thread that copies the database broke");
}
