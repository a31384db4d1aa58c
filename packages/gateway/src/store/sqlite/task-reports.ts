/** What a `task.*` event does to the tasks, inside the transaction that inserts the event. */
import type { TaskEvent, TaskLogData, TaskOutputData, TaskProgressData, TaskResultData } from "@quaymesh/protocol";
import { isValue } from "@quaymesh/protocol/core";
import { isWithNode, stepRow } from "../../tasks/ledger.ts";
import type { TaskFailure, TaskRow } from "../rows.ts";
import { blob, number } from "./columns.ts";
import type { Database } from "./database.ts";
import { findTask, saveStep, saveTask } from "./task-rows.ts";

/** Largest output of one attempt, bytes. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

const OUTPUT_INVALID: TaskFailure = { code: "OUTPUT_INVALID", message: "the output is not one CBOR value" };

/** Who reports, and when. */
interface Reporter {
  readonly deviceId: string;
  /** The event's own time, the node's clock. */
  readonly time: number;
  /** The gateway's clock. */
  readonly now: number;
}

/** @returns whether the task changed; a report with a stale token, of a stranger, or after the end changes nothing */
export function applyReport(db: Database, report: TaskEvent, reporter: Reporter): boolean {
  const task = findTask(db, report.data.taskId);
  if (task === undefined || isFenced(task, report, reporter)) return false;
  switch (report.kind) {
    case "task.progress":
      return applyProgress(db, task, report.data);
    case "task.log":
      return applyLog(db, task, report.data, reporter);
    case "task.output":
      return applyOutput(db, task, report.data);
    case "task.result":
      return applyResult(db, task, report.data, reporter);
    default:
      return report satisfies never;
  }
}

function applyProgress(db: Database, task: TaskRow, data: TaskProgressData): boolean {
  if (!isWithNode(task)) return false;
  saveTask(db, { ...task, progress: data.fraction, progressMessage: data.message ?? "" });
  return true;
}

function applyLog(db: Database, task: TaskRow, data: TaskLogData, { time }: Reporter): boolean {
  if (!takesReports(task)) return false;
  const line = task.logLines + 1;
  db.run(
    "INSERT INTO task_logs VALUES (?, ?, ?, ?, ?, ?)",
    task.taskId,
    line,
    task.attempt,
    data.level,
    data.message,
    time,
  );
  db.run("UPDATE tasks SET log_lines = ? WHERE task_id = ?", line, task.taskId);
  return true;
}

function applyOutput(db: Database, task: TaskRow, data: TaskOutputData): boolean {
  if (!takesReports(task) || task.outputBytes + data.bytes.length > MAX_OUTPUT_BYTES) return false;
  const added = db.run(
    "INSERT INTO task_outputs VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    task.taskId,
    task.token,
    data.index,
    data.bytes,
  );
  if (added === 0) return false;
  db.run("UPDATE tasks SET output_bytes = output_bytes + ? WHERE task_id = ?", data.bytes.length, task.taskId);
  return true;
}

function applyResult(db: Database, task: TaskRow, data: TaskResultData, reporter: Reporter): boolean {
  const attempt = db.get("SELECT outcome FROM task_attempts WHERE task_id = ? AND token = ?", task.taskId, task.token);
  // One result per attempt: only an attempt that was given up for lost may still surprise us.
  const outcome = attempt?.["outcome"];
  if (outcome !== null && outcome !== "lost") return false;
  const result = judgeOutput(db, task, data);
  const input = { kind: "result", token: data.token, device: reporter.deviceId, now: reporter.now, ...result } as const;
  // Results carry no lease: only how the task goes on depends on it.
  const step = stepRow(task, input, { leaseMs: 0, now: reporter.now, error: result.error });
  saveStep(db, task, step, reporter.now);
  return step.changed;
}

/** What the result comes to, for the ledger. */
interface JudgedResult {
  readonly outcome: TaskResultData["outcome"];
  readonly retryable: boolean;
  readonly error: TaskFailure | undefined;
}

/** A success whose output did not arrive whole is none. */
function judgeOutput(db: Database, task: TaskRow, data: TaskResultData): JudgedResult {
  if (data.outcome !== "succeeded") {
    const error = data.outcome === "failed" ? data.error : undefined;
    return {
      outcome: data.outcome,
      retryable: error?.retryable ?? false,
      error: error === undefined ? undefined : { code: error.code, message: error.message },
    };
  }
  const row = db.get(
    "SELECT count(*) AS pieces, coalesce(max(piece), -1) AS last FROM task_outputs WHERE task_id = ? AND token = ?",
    task.taskId,
    task.token,
  );
  const pieces = row === undefined ? 0 : number(row, "pieces");
  const last = row === undefined ? -1 : number(row, "last");
  const whole = pieces === data.outputChunks && last === pieces - 1 && task.outputBytes === data.outputBytes;
  const readable = !whole || pieces === 0 || isValue(outputOf(db, task));
  if (whole && readable) return { outcome: "succeeded", retryable: false, error: undefined };
  if (!readable) return { outcome: "failed", retryable: false, error: OUTPUT_INVALID };
  const error =
    data.outputBytes > MAX_OUTPUT_BYTES
      ? { code: "OUTPUT_TOO_LARGE", message: `the output is larger than ${MAX_OUTPUT_BYTES} bytes` }
      : { code: "OUTPUT_INCOMPLETE", message: "pieces of the output are missing" };
  return { outcome: "failed", retryable: false, error };
}

function outputOf(db: Database, task: TaskRow): Uint8Array {
  const sql = "SELECT bytes FROM task_outputs WHERE task_id = ? AND token = ? ORDER BY piece";
  return Buffer.concat(db.all(sql, task.taskId, task.token).map((row) => blob(row, "bytes")));
}

/** An older lease than the current one, a device the task was never leased to, or one that was cut off. */
function isFenced(task: TaskRow, report: TaskEvent, reporter: Reporter): boolean {
  return task.fenced || task.token !== report.data.token || task.deviceId !== reporter.deviceId;
}

/** A lost attempt of a task that waits for its next, out its pause or for a node, may still speak until that next one is leased: its result counts as long, and wants its output. */
function takesReports(task: TaskRow): boolean {
  return isWithNode(task) || task.state === "retry-wait" || task.state === "queued";
}
