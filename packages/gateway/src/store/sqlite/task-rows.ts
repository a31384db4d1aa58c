/** Tasks between SQL and {@link TaskRow}. */
import { GatewayError } from "../../errors.ts";
import { dueAt, type AttemptOutcome, type TaskChange } from "../../tasks/transitions.ts";
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
    leaseUntil: optionalNumber(row, "lease_until"),
    attemptDeadline: optionalNumber(row, "attempt_deadline"),
    queueDeadline: number(row, "queue_deadline"),
    retryAt: optionalNumber(row, "retry_at"),
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
  cancel_reason = ?, lease_until = ?, attempt_deadline = ?, queue_deadline = ?, retry_at = ?, due_at = ?, log_lines = ? WHERE task_id = ?`;

/** Write what can change of a task. */
export function saveTask(db: Database, task: TaskRow): void {
  const due = dueAt(task);
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
    task.leaseUntil ?? null,
    task.attemptDeadline ?? null,
    task.queueDeadline,
    task.retryAt ?? null,
    due === undefined || due === Infinity ? null : due,
    task.logLines,
    task.taskId,
  );
}

/** Write a transition: the task's row, how its attempt ended, and what an ended task no longer needs. */
export function saveChange(
  db: Database,
  before: TaskRow,
  change: TaskChange | undefined,
  now: number,
): TaskRow | undefined {
  if (change === undefined) return undefined;
  const { task, attempt } = change;
  saveTask(db, task);
  if (attempt !== undefined) endAttempt(db, before, attempt, now);
  if (isTerminal(task.state)) db.run("DELETE FROM task_inputs WHERE task_id = ?", task.taskId);
  return task;
}

function endAttempt(db: Database, task: TaskRow, outcome: AttemptOutcome, now: number): void {
  db.run(
    "UPDATE task_attempts SET ended_at = ?, outcome = ? WHERE task_id = ? AND token = ?",
    now,
    outcome,
    task.taskId,
    task.token,
  );
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
