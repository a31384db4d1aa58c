/** Units that change tasks: each loads the row, steps it in the ledger, writes the answer. */
import type { TaskInput } from "@quaymesh/protocol";
import { isWithNode, stepRow, stopReason, type LedgerContext, type LedgerStep } from "../../tasks/ledger.ts";
import type { RenewLeases, RenewResult, SteppedTask, StepTask } from "../port-tasks.ts";
import type { TaskRow } from "../rows.ts";
import type { Database } from "./database.ts";
import { requireTrusted } from "./device-rows.ts";
import { getMeta, TOKEN_FLOOR } from "./meta.ts";
import { findTask, saveStep, saveTask, taskRow } from "./task-rows.ts";

/** Inputs of one task, stepped one after the other. */
export function stepStoredTask(db: Database, input: StepTask): SteppedTask | undefined {
  let task = findTask(db, input.taskId);
  if (task === undefined || (input.token !== undefined && task.token !== input.token)) return undefined;
  if (input.reason !== undefined) task = { ...task, cancelReason: input.reason };
  let result: SteppedTask = { task, changed: false, effects: [] };
  for (const next of input.inputs) {
    const step = stepAndSave(db, result.task, next, input);
    result = {
      task: step.task,
      changed: result.changed || step.changed,
      effects: [...result.effects, ...step.effects],
    };
  }
  return result;
}

/** Renew what a node reports, and find what is not its own. */
export function renewLeases(db: Database, input: RenewLeases): RenewResult {
  const renewed: TaskRow[] = [];
  const fenced: { readonly taskId: string; readonly token: number }[] = [];
  const cancelled: { readonly taskId: string; readonly token: number; readonly reason: string }[] = [];
  for (const { taskId, token, progress } of input.running) {
    const task = findTask(db, taskId);
    const renew: TaskInput = { kind: "renew", token, device: input.deviceId, now: input.now };
    const step = task === undefined ? undefined : stepAndSave(db, task, renew, input);
    if (step?.changed === true) {
      renewed.push(withProgress(db, step.task, progress));
      if (step.effects.some(({ kind }) => kind === "cancel-attempt")) {
        cancelled.push({ taskId, token, reason: stopReason(step.task) });
      }
      // A result that crossed the heartbeat on its way is no reason to stop anything.
    } else if (!hasResult(db, taskId, token)) fenced.push({ taskId, token });
  }
  return { renewed, fenced, cancelled };
}

/** Renew what a node that is back reports, and note what it does not. */
export function resumeAttempts(db: Database, input: RenewLeases): RenewResult {
  const result = renewLeases(db, input);
  const reported = new Set(input.running.map(({ taskId }) => taskId));
  for (const task of attemptsOf(db, input.deviceId)) {
    if (!reported.has(task.taskId)) stepAndSave(db, task, { kind: "node-back-without", now: input.now }, input);
  }
  return result;
}

/** The node is out of reach. */
export function disconnectDevice(
  db: Database,
  input: { readonly deviceId: string; readonly now: number },
): readonly TaskRow[] {
  const lost: TaskInput = { kind: "node-lost", now: input.now };
  const context = { leaseMs: 0, now: input.now };
  return attemptsOf(db, input.deviceId)
    .map((task) => stepAndSave(db, task, lost, context))
    .filter((step) => step.changed)
    .map((step) => step.task);
}

/** The gateway has just started: nothing is known of any node. */
export function adoptAttempts(
  db: Database,
  input: { readonly leaseMs: number; readonly now: number },
): readonly TaskRow[] {
  const rows = db.all("SELECT * FROM tasks WHERE active = 1 AND state IN ('leased', 'running', 'unknown')");
  return rows.map((row) => adoptAttempt(db, taskRow(row), input));
}

/** Attempts that are with the device, as far as is known. */
export function attemptsOf(db: Database, deviceId: string): readonly TaskRow[] {
  return tasksOf(db, deviceId).filter(isWithNode);
}

/** Unfinished tasks whose latest attempt is or was with the device. */
export function tasksOf(db: Database, deviceId: string): readonly TaskRow[] {
  return db.all("SELECT * FROM tasks WHERE device_id = ? AND active = 1", deviceId).map(taskRow);
}

/** One input, stepped and written. */
export function stepAndSave(db: Database, task: TaskRow, input: TaskInput, context: LedgerContext): LedgerStep {
  if (input.kind === "lease") requireTrusted(db, input.device);
  const step = stepRow(input.kind === "lease" ? aboveFloor(db, task) : task, input, context);
  saveStep(db, task, step, context.now);
  if (!step.changed) return step;
  if (input.kind === "lease") insertAttempt(db, step.task, context.now);
  if (input.kind === "accepted") {
    const sql = "UPDATE task_attempts SET started_at = ? WHERE task_id = ? AND token = ?";
    db.run(sql, context.now, task.taskId, task.token);
  }
  return step;
}

/** In a restored store the tokens below were given out by another life of it: the next lies above. */
function aboveFloor(db: Database, task: TaskRow): TaskRow {
  const floor = Number(getMeta(db, TOKEN_FLOOR) ?? 0);
  return task.token < floor ? { ...task, token: floor } : task;
}

function adoptAttempt(db: Database, task: TaskRow, context: LedgerContext): TaskRow {
  const { task: lost } = stepAndSave(db, task, { kind: "node-lost", now: context.now }, context);
  // Nothing was heard while the gateway was down, which says nothing of the node.
  const adopted = { ...lost, dueAt: Math.max(lost.dueAt ?? 0, context.now + context.leaseMs) };
  saveTask(db, adopted);
  return adopted;
}

function insertAttempt(db: Database, task: TaskRow, now: number): void {
  // Pieces of an attempt that did not succeed; its token is stale from here on.
  db.run("DELETE FROM task_outputs WHERE task_id = ?", task.taskId);
  db.run(
    "INSERT INTO task_attempts (task_id, token, attempt, device_id, leased_at) VALUES (?, ?, ?, ?, ?)",
    task.taskId,
    task.token,
    task.attempt,
    task.deviceId ?? "",
    now,
  );
}

function withProgress(db: Database, task: TaskRow, progress: number | undefined): TaskRow {
  if (progress === undefined || progress === task.progress) return task;
  const next = { ...task, progress };
  saveTask(db, next);
  return next;
}

function hasResult(db: Database, taskId: string, token: number): boolean {
  const row = db.get(
    `SELECT 1 AS found FROM task_attempts WHERE task_id = ? AND token = ?
       AND outcome IN ('succeeded', 'failed', 'cancelled', 'timed-out', 'lease-lost')`,
    taskId,
    token,
  );
  return row !== undefined;
}
