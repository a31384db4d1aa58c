/** Units that submit tasks and read them; see TaskStore for what each promises. */
import type { SubmitResult, SubmitTask } from "../port-tasks.ts";
import type { TaskLogRow, TaskRow } from "../rows.ts";
import { blob, text } from "./columns.ts";
import type { Database } from "./database.ts";
import { findTask, requireTask, taskLogRow, taskRow } from "./task-rows.ts";

/** Bytes of input in one row. */
const INPUT_PIECE_BYTES = 262_144;

/** Queue a task, or find the one its idempotency key names. */
export function submitTask(db: Database, input: SubmitTask): SubmitResult {
  if (input.idempotencyKey !== "") {
    const known = db.get(
      "SELECT task_id, body_hash FROM tasks WHERE submitter = ? AND idempotency_key = ?",
      input.submitter,
      input.idempotencyKey,
    );
    if (known !== undefined) {
      const taskId = text(known, "task_id");
      return text(known, "body_hash") === input.bodyHash
        ? { kind: "existing", task: requireTask(db, taskId) }
        : { kind: "conflict", taskId };
    }
  }
  const unfinished = db.number(
    "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE active = 1 LIMIT ?)",
    input.maxUnfinished,
  );
  if (unfinished >= input.maxUnfinished) return { kind: "full" };
  insertTask(db, input);
  return { kind: "created", task: requireTask(db, input.taskId) };
}

/** Tasks by id or prefix of an id; at most 10. */
export function findTasks(db: Database, wanted: string): readonly TaskRow[] {
  if (wanted === "") return [];
  const prefix = wanted.toUpperCase();
  const rows = db.all(
    "SELECT * FROM tasks WHERE task_id >= ? AND task_id < ? ORDER BY task_id LIMIT 10",
    prefix,
    `${prefix}~`,
  );
  return rows.map(taskRow);
}

/** Tasks, newest first. */
export function listTasks(
  db: Database,
  input: { readonly limit: number; readonly activeOnly: boolean },
): readonly TaskRow[] {
  const where = input.activeOnly ? "WHERE active = 1" : "";
  return db.all(`SELECT * FROM tasks ${where} ORDER BY no DESC LIMIT ?`, input.limit).map(taskRow);
}

/** A page of unfinished tasks in order of age. */
export function unfinishedTasks(
  db: Database,
  input: { readonly afterTaskId: string; readonly limit: number },
): readonly TaskRow[] {
  return db
    .all(
      `SELECT * FROM tasks WHERE active = 1 AND no > coalesce((SELECT no FROM tasks WHERE task_id = ?), 0) ORDER BY no LIMIT ?`,
      input.afterTaskId,
      input.limit,
    )
    .map(taskRow);
}

/** Tasks that want a tick. */
export function dueTasks(db: Database, input: { readonly now: number; readonly limit: number }): readonly TaskRow[] {
  return db.all("SELECT * FROM tasks WHERE due_at <= ? ORDER BY due_at LIMIT ?", input.now, input.limit).map(taskRow);
}

/** One piece of the input; undefined past the end. */
export function readInput(
  db: Database,
  input: { readonly taskId: string; readonly index: number },
): Uint8Array | undefined {
  const row = db.get("SELECT bytes FROM task_inputs WHERE task_id = ? AND piece = ?", input.taskId, input.index);
  return row === undefined ? undefined : blob(row, "bytes");
}

/** Pieces of the newest attempt's output. */
export function readOutput(
  db: Database,
  input: { readonly taskId: string; readonly index: number; readonly limit: number },
): readonly Uint8Array[] {
  const task = findTask(db, input.taskId);
  if (task === undefined) return [];
  return db
    .all(
      "SELECT bytes FROM task_outputs WHERE task_id = ? AND token = ? AND piece >= ? ORDER BY piece LIMIT ?",
      input.taskId,
      task.token,
      input.index,
      input.limit,
    )
    .map((row) => blob(row, "bytes"));
}

/** Lines after a line. */
export function readLog(
  db: Database,
  input: { readonly taskId: string; readonly afterLine: number; readonly limit: number },
): readonly TaskLogRow[] {
  return db
    .all(
      "SELECT * FROM task_logs WHERE task_id = ? AND line > ? ORDER BY line LIMIT ?",
      input.taskId,
      input.afterLine,
      input.limit,
    )
    .map(taskLogRow);
}

function insertTask(db: Database, input: SubmitTask): void {
  const { target } = input;
  db.run(
    `INSERT INTO tasks (task_id, definition, target_kind, target, state, active, created_at, state_since, input_bytes, queue_deadline, due_at,
       queue_ms, timeout_ms, exclusive, idempotent, max_attempts, submitter, idempotency_key, body_hash)
     VALUES (?, ?, ?, ?, 'queued', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    input.taskId,
    input.definition,
    target.kind,
    target.kind === "device" ? target.deviceId : target.kind === "label" ? target.label : "",
    input.now,
    input.now,
    input.input.length,
    input.now + input.queueMs,
    input.now + input.queueMs,
    input.queueMs,
    input.timeoutMs,
    input.exclusive ? 1 : 0,
    input.idempotent ? 1 : 0,
    input.maxAttempts,
    input.submitter,
    input.idempotencyKey === "" ? null : input.idempotencyKey,
    input.bodyHash,
  );
  for (let at = 0, piece = 0; at < input.input.length; at += INPUT_PIECE_BYTES, piece++) {
    db.run(
      "INSERT INTO task_inputs VALUES (?, ?, ?)",
      input.taskId,
      piece,
      input.input.subarray(at, at + INPUT_PIECE_BYTES),
    );
  }
}
