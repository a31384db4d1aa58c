/** The thread that holds a database connection: no disk access ever blocks the event loop of the gateway. */
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import type { EncodedEvents } from "@quaymesh/protocol/core";
import type { Database } from "./database.ts";
import { toPlain } from "./errors.ts";
import { commitGroup, runRead } from "./group-commit.ts";
import { copyDatabase, openForReading, openForWriting, type OpenDatabase } from "./open.ts";
import { unpackJob } from "./packed-append.ts";
import type { UnitName, UnitOutput } from "./units.ts";
import type { FromWorker, Job, Reply, ToWorker, WorkerRole } from "./wire.ts";

/** Units in one transaction: bounds how long the first of a group waits for the last. */
const MAX_GROUP = 2048;

function serve(port: MessagePort, role: WorkerRole): void {
  switch (role.kind) {
    case "write": {
      const open = openForWriting(role.file);
      send(port, { kind: "opened", logId: open.logId, generation: open.generation });
      serveWrites(port, open, () => open[Symbol.dispose]());
      return;
    }
    case "read": {
      send(port, { kind: "opened", logId: "", generation: 0 });
      serveReads(port, role.path);
      return;
    }
    case "snapshot": {
      copyDatabase(role.from, role.to);
      send(port, { kind: "opened", logId: "", generation: 0 });
      return;
    }
    default:
      role satisfies never;
  }
}

function serveWrites(port: MessagePort, { db, mark }: OpenDatabase, close: () => void): void {
  let queue: Job[] = [];
  let scheduled = false;
  const flush = () => {
    scheduled = false;
    while (queue.length > 0) {
      const group = queue.slice(0, MAX_GROUP);
      queue = queue.slice(MAX_GROUP);
      sendReplies(port, group, commitGroup(db, group, mark));
    }
  };
  port.on("message", (message: ToWorker) => {
    if (message.kind === "close") {
      flush();
      close();
      port.close();
      return;
    }
    for (const job of message.jobs) queue.push(unpackJob(job));
    if (scheduled) return;
    scheduled = true;
    // After every message that is already here: what came during the last commit shares the next one.
    setImmediate(flush);
  });
}

function serveReads(port: MessagePort, path: string): void {
  let db: Database | undefined;
  port.on("message", (message: ToWorker) => {
    if (message.kind === "close") {
      db?.close();
      port.close();
      return;
    }
    for (const job of message.jobs) {
      try {
        // At the first read, which comes after the writer has made and judged the file: the two threads can start side by side.
        db ??= openForReading(path);
      } catch (error) {
        send(port, { kind: "replies", replies: [{ id: job.id, ok: false, error: toPlain(error) }] });
        continue;
      }
      sendReplies(port, [job], [runRead(db, job)]);
    }
  });
}

/** Pages of events are many and large: their buffers move. */
function sendReplies(port: MessagePort, jobs: readonly Job[], replies: readonly Reply[]): void {
  const pages = replies.map((reply, index) => pageOf(jobs[index]?.unit, reply));
  const moved = pages.flatMap((page) => (page === undefined ? [] : [page.bytes.buffer, page.marks.buffer]));
  const message: FromWorker = { kind: "replies", replies };
  port.postMessage(message, moved);
}

function pageOf(unit: UnitName | undefined, reply: Reply): EncodedEvents | undefined {
  if (!reply.ok) return undefined;
  if (unit === "events.read") return (reply.value as UnitOutput<"events.read">).events;
  if (unit !== "events.append") return undefined;
  const appended = reply.value as UnitOutput<"events.append">;
  return appended.kind === "stored" ? appended.page?.events : undefined;
}

function send(port: MessagePort, message: FromWorker): void {
  port.postMessage(message);
}

if (parentPort !== null) {
  try {
    serve(parentPort, workerData as WorkerRole);
  } catch (error) {
    send(parentPort, { kind: "refused", error: toPlain(error) });
  }
}
