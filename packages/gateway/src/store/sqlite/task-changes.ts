/** Units that change tasks: each loads the row, asks the transitions, writes the answer. */
import * as transitions from "../../tasks/transitions.ts";
import type { CancelTask, GiveBack, LeaseTask, RenewLeases, RenewResult, SettleDue } from "../port-tasks.ts";
import type { TaskRow } from "../rows.ts";
import type { Database } from "./database.ts";
import { requireTrusted } from "./device-rows.ts";
import { findTask, saveChange, taskRow } from "./task-rows.ts";

export function leaseTask(db: Database, input: LeaseTask): TaskRow | undefined {
  const task = findTask(db, input.taskId);
  if (task === undefined) return undefined;
  requireTrusted(db, input.deviceId);
  const leased = saveChange(db, task, transitions.lease(task, input), input.now);
  if (leased === undefined) return undefined;
  // Pieces of an attempt that did not succeed; its token is stale from here on.
  db.run("DELETE FROM task_outputs WHERE task_id = ?", input.taskId);
  db.run(
    "INSERT INTO task_attempts (task_id, token, attempt, device_id, leased_at) VALUES (?, ?, ?, ?, ?)",
    leased.taskId,
    leased.token,
    leased.attempt,
    input.deviceId,
    input.now,
  );
  return leased;
}

export function startTask(
  db: Database,
  input: { readonly taskId: string; readonly token: number; readonly now: number },
): TaskRow | undefined {
  const task = findTask(db, input.taskId);
  if (task === undefined) return undefined;
  const started = saveChange(db, task, transitions.start(task, input.token, input.now), input.now);
  if (started !== undefined) {
    db.run(
      "UPDATE task_attempts SET started_at = ? WHERE task_id = ? AND token = ?",
      input.now,
      input.taskId,
      input.token,
    );
  }
  return started;
}

export function giveBackTask(db: Database, input: GiveBack): TaskRow | undefined {
  return change(db, input.taskId, input.now, (task) => transitions.giveBack(task, input));
}

export function renewLeases(db: Database, input: RenewLeases): RenewResult {
  const renewed: TaskRow[] = [];
  const fenced: { readonly taskId: string; readonly token: number }[] = [];
  for (const attempt of input.running) {
    const task = findTask(db, attempt.taskId);
    const own = task !== undefined && task.deviceId === input.deviceId && task.token === attempt.token;
    const next = own
      ? transitions.renew(task, { ...attempt, leaseUntil: input.leaseUntil, now: input.now })
      : undefined;
    const saved = own ? saveChange(db, task, next, input.now) : undefined;
    if (saved !== undefined) renewed.push(saved);
    // A result that crossed the heartbeat on its way is no reason to stop anything.
    else if (!own || !hasResult(db, attempt)) fenced.push({ taskId: attempt.taskId, token: attempt.token });
  }
  return { renewed, fenced };
}

export function resumeAttempts(db: Database, input: RenewLeases): RenewResult {
  const result = renewLeases(db, input);
  const reported = new Set(input.running.map(({ taskId }) => taskId));
  for (const task of attemptsOf(db, input.deviceId)) {
    if (reported.has(task.taskId)) continue;
    saveChange(db, task, transitions.disconnect(task, input.now, input.leaseUntil), input.now);
  }
  return result;
}

export function disconnectDevice(
  db: Database,
  input: { readonly deviceId: string; readonly now: number },
): readonly TaskRow[] {
  return changed(
    attemptsOf(db, input.deviceId).map((task) =>
      saveChange(db, task, transitions.disconnect(task, input.now), input.now),
    ),
  );
}

export function adoptAttempts(
  db: Database,
  input: { readonly leaseUntil: number; readonly now: number },
): readonly TaskRow[] {
  const rows = db.all("SELECT * FROM tasks WHERE active = 1 AND state IN ('leased', 'running', 'unknown')");
  return changed(
    rows.map(taskRow).map((task) => {
      const leaseUntil = Math.max(task.leaseUntil ?? 0, input.leaseUntil);
      return saveChange(db, task, transitions.disconnect(task, input.now, leaseUntil), input.now);
    }),
  );
}

export function settleDueTask(db: Database, input: SettleDue): TaskRow | undefined {
  return change(db, input.taskId, input.now, (task) => transitions.settleDue(task, input));
}

export function cancelTask(db: Database, input: CancelTask): TaskRow | undefined {
  return change(db, input.taskId, input.now, (task) => transitions.cancel(task, input));
}

/** Attempts that are with the device, as far as is known. */
export function attemptsOf(db: Database, deviceId: string): readonly TaskRow[] {
  return db
    .all(
      "SELECT * FROM tasks WHERE device_id = ? AND active = 1 AND state IN ('leased', 'running', 'unknown')",
      deviceId,
    )
    .map(taskRow);
}

function change(
  db: Database,
  taskId: string,
  now: number,
  transition: (task: TaskRow) => transitions.TaskChange | undefined,
): TaskRow | undefined {
  const task = findTask(db, taskId);
  return task === undefined ? undefined : saveChange(db, task, transition(task), now);
}

function hasResult(db: Database, attempt: { readonly taskId: string; readonly token: number }): boolean {
  const row = db.get(
    "SELECT outcome FROM task_attempts WHERE task_id = ? AND token = ? AND outcome IN ('succeeded', 'failed', 'cancelled', 'timed-out', 'lease-lost')",
    attempt.taskId,
    attempt.token,
  );
  return row !== undefined;
}

function changed(rows: readonly (TaskRow | undefined)[]): readonly TaskRow[] {
  return rows.filter((row) => row !== undefined);
}
