/** What has ended and is kept for a while: tasks, pairing, quarantine. */
import type { PruneHistory, QuarantinedRow, ReadQuarantine } from "../port-events.ts";
import { blob, number, optionalNumber, text } from "./columns.ts";
import type { Database } from "./database.ts";

/** Budgets of pairing attempts look back a day. */
const ATTEMPT_KEPT_MS = 2 * 86_400_000;

/** Drop a piece of it. @returns rows dropped, those of tasks counted once each */
export function pruneHistory(db: Database, { before, now, limit }: PruneHistory): number {
  const attemptsBefore = Math.min(before, now - ATTEMPT_KEPT_MS);
  return (
    dropTasks(db, before, limit) +
    db.run(
      "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE received < ? ORDER BY received LIMIT ?)",
      before,
      limit,
    ) +
    db.run(
      `DELETE FROM pairing_windows WHERE window_id IN
         (SELECT window_id FROM pairing_windows WHERE expires_at < ? AND state <> 'open' LIMIT ?)`,
      before,
      limit,
    ) +
    db.run(
      `DELETE FROM pairing_requests WHERE request_id IN
         (SELECT request_id FROM pairing_requests WHERE updated_at < ? AND state <> 'pending' LIMIT ?)`,
      before,
      limit,
    ) +
    db.run(
      "DELETE FROM pairing_attempts WHERE attempt_id IN (SELECT attempt_id FROM pairing_attempts WHERE at < ? LIMIT ?)",
      attemptsBefore,
      limit,
    )
  );
}

function dropTasks(db: Database, before: number, limit: number): number {
  const ended = db.all(
    "SELECT task_id FROM tasks WHERE active = 0 AND state_since < ? ORDER BY state_since LIMIT ?",
    before,
    limit,
  );
  for (const row of ended) {
    const taskId = text(row, "task_id");
    for (const table of ["task_logs", "task_outputs", "task_inputs", "task_attempts", "tasks"]) {
      db.run(`DELETE FROM ${table} WHERE task_id = ?`, taskId);
    }
  }
  return ended.length;
}

/** What was set aside, newest first. */
export function readQuarantine(db: Database, input: ReadQuarantine): readonly QuarantinedRow[] {
  const rows = db.all(
    `SELECT q.*, o.device_id, o.epoch, e.position FROM quarantine q JOIN outboxes o ON o.outbox = q.outbox
       LEFT JOIN events e ON e.outbox = q.outbox AND e.seq = q.seq
     WHERE q.id < ?1 AND (?2 = '' OR o.device_id = ?2) ORDER BY q.id DESC LIMIT ?3`,
    input.beforeId ?? Number.MAX_SAFE_INTEGER,
    input.deviceId ?? "",
    input.limit,
  );
  return rows.map((row) => ({
    id: number(row, "id"),
    deviceId: text(row, "device_id"),
    outboxEpoch: blob(row, "epoch"),
    seq: number(row, "seq"),
    kind: text(row, "kind"),
    time: number(row, "time"),
    received: number(row, "received"),
    data: blob(row, "data"),
    offset: optionalNumber(row, "position"),
  }));
}
