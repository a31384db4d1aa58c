/** Tasks between SQL and {@link TaskRow}. */
import { GatewayError } from "../../errors.ts";
import type { LedgerStep } from "../../tasks/ledger.ts";
import { isTerminal, TASK_STATES, type TaskFailure, type TaskLogRow, type TaskRow, type TaskTarget } from "../rows.ts";
import { number, oneOf, optionalNumber, optionalText, text } from "./columns.ts";
import type { Database, RawRow } from "./database.ts";

/** A row of `tasks`. */
export function taskRow(row: RawRow): TaskRow {
  return {
    taskId: text(row, "task_id"),
    definition: text(row, "definition"),
    target: target(row),
    state: oneOf(row, "state", TASK_STATES),
    createdAt: number(row, "created_at"),
    stateSince: number(row, "state_since"),
    deviceId: optionalText(row, "device_id"),
    attempt: number(row, "attempt"),
    token: number(row, "token"),
    nodeDeaths: number(row, "node_deaths"),
    progress: number(row, "progress"),
    progressMessage: text(row, "progress_message"),
    inputBytes: number(row, "input_bytes"),
    outputBytes: number(row, "output_bytes"),
    error: failure(row),
    finishedLate: number(row, "finished_late") === 1,
    cancelRequested: number(row, "cancel_requested") === 1,
    cancelReason: text(row, "cancel_reason"),
    fenced: number(row, "fenced") === 1,
    gone: number(row, "gone") === 1,
    accepted: number(row, "accepted") === 1,
    leaseUntil: optionalNumber(row, "lease_until"),
    attemptDeadline: optionalNumber(row, "attempt_deadline"),
    queueDeadline: number(row, "queue_deadline"),
    retryAt: optionalNumber(row, "retry_at"),
    dueAt: optionalNumber(row, "due_at"),
    queueMs: number(row, "queue_ms"),
    timeoutMs: number(row, "timeout_ms"),
    exclusive: number(row, "exclusive") === 1,
    idempotent: number(row, "idempotent") === 1,
    maxAttempts: number(row, "max_attempts"),
    logLines: number(row, "log_lines"),
  };
}

/** A row of `task_logs`. */
export function taskLogRow(row: RawRow): TaskLogRow {
  return {
    line: number(row, "line"),
    attempt: number(row, "attempt"),
    level: text(row, "level"),
    message: text(row, "message"),
    time: number(row, "time"),
  };
}

/** The task, or undefined. */
export function findTask(db: Database, taskId: string): TaskRow | undefined {
  const row = db.get("SELECT * FROM tasks WHERE task_id = ?", taskId);
  return row === undefined ? undefined : taskRow(row);
}

/** A task that must be there. */
export function requireTask(db: Database, taskId: string): TaskRow {
  const task = findTask(db, taskId);
  if (task === undefined) throw new GatewayError("TASK_NOT_FOUND", `no task ${taskId}`);
  return task;
}

const UPDATE_TASK = `UPDATE tasks SET state = ?, active = ?, state_since = ?, device_id = ?, attempt = ?, token = ?, node_deaths = ?,
  progress = ?, progress_message = ?, output_bytes = ?, error_code = ?, error_message = ?, finished_late = ?, cancel_requested = ?,
  cancel_reason = ?, fenced = ?, gone = ?, accepted = ?, lease_until = ?, attempt_deadline = ?, queue_deadline = ?, retry_at = ?, due_at = ?, log_lines = ? WHERE task_id = ?`;

/** Write what can change of a task. */
export function saveTask(db: Database, task: TaskRow): void {
  db.run(
    UPDATE_TASK,
    task.state,
    isTerminal(task.state) ? 0 : 1,
    task.stateSince,
    task.deviceId ?? null,
    task.attempt,
    task.token,
    task.nodeDeaths,
    task.progress,
    task.progressMessage,
    task.outputBytes,
    task.error?.code ?? null,
    task.error?.message ?? null,
    task.finishedLate ? 1 : 0,
    task.cancelRequested ? 1 : 0,
    task.cancelReason,
    task.fenced ? 1 : 0,
    task.gone ? 1 : 0,
    task.accepted ? 1 : 0,
    task.leaseUntil ?? null,
    task.attemptDeadline ?? null,
    task.queueDeadline,
    task.retryAt ?? null,
    task.dueAt ?? null,
    task.logLines,
    task.taskId,
  );
}

/** Write a step: the task's row, how its attempt ended, and what an ended task no longer needs. */
export function saveStep(db: Database, before: TaskRow, step: LedgerStep, now: number): void {
  if (!step.changed) return;
  saveTask(db, step.task);
  if (step.attemptEnd !== undefined) {
    db.run(
      "UPDATE task_attempts SET ended_at = ?, outcome = ? WHERE task_id = ? AND token = ?",
      now,
      step.attemptEnd,
      before.taskId,
      before.token,
    );
  }
  if (isTerminal(step.task.state)) db.run("DELETE FROM task_inputs WHERE task_id = ?", before.taskId);
}

function target(row: RawRow): TaskTarget {
  const kind = oneOf(row, "target_kind", ["device", "label", "any"]);
  switch (kind) {
    case "device":
      return { kind, deviceId: text(row, "target") };
    case "label":
      return { kind, label: text(row, "target") };
    case "any":
      return { kind };
    default:
      return kind satisfies never;
  }
}

function failure(row: RawRow): TaskFailure | undefined {
  const code = optionalText(row, "error_code");
  return code === undefined ? undefined : { code, message: optionalText(row, "error_message") ?? "" };
}
