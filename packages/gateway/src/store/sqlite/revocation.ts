/** Units of revocation. Everything that makes it true is one transaction; what is measured afterwards is added to the receipt. */
import { encodeValue } from "@quaymesh/protocol/core";
import { isTerminal, type ReceiptRow, type TaskRow } from "../rows.ts";
import { DEVICE_REVOKED, endRow, isWithNode } from "../../tasks/ledger.ts";
import { GatewayError } from "../../errors.ts";
import type { FinishRevocationInput, RevokeInput, RevokeResult } from "../port-devices.ts";
import { recordEvent } from "./append.ts";
import { text } from "./columns.ts";
import type { Database } from "./database.ts";
import { receiptRow, requireDevice } from "./device-rows.ts";
import { isSelected, latestReceipt } from "./devices.ts";
import { nextRevocationEpoch } from "./meta.ts";
import { attemptsOf, stepAndSave, tasksOf } from "./task-changes.ts";
import { saveTask, taskRow } from "./task-rows.ts";

/** Kind of the event that records a revocation. */
const REVOKED_EVENT = "mesh.device.revoked";

/** Revoke once: epoch, device, certificates, leases, tasks, receipt and the log's event together. */
export function revokeDevice(db: Database, input: RevokeInput): RevokeResult {
  const device = requireDevice(db, input.deviceId);
  if (device.revoked) {
    const receipt = latestReceipt(db, input.deviceId);
    if (receipt === undefined) throw new GatewayError("STORE_CORRUPT", "a revoked device without a receipt");
    return { receipt, repeated: true, tasks: [], latest: undefined };
  }
  if (input.only !== undefined && !isSelected(db, input.deviceId, input.only)) {
    throw new GatewayError("DEVICE_NOT_SELECTED", `device ${input.deviceId} is not among those to revoke any more`);
  }
  const epoch = nextRevocationEpoch(db);
  db.run("UPDATE devices SET revoked_at = ? WHERE device_id = ?", input.now, input.deviceId);
  db.run("UPDATE certificates SET state = 'revoked' WHERE device_id = ? AND state = 'active'", input.deviceId);
  // Nobody can take them any more, and they would hold retention back.
  db.run("DELETE FROM subscriptions WHERE owner = ?", `device:${input.deviceId}`);
  const closed = closeWindowsOf(db, input.deviceId);
  const { fenced, changed } = fenceTasks(db, input);
  db.run(
    "INSERT INTO receipts VALUES (?, ?, ?, ?, 0, ?, ?, 0, ?, ?, ?, ?)",
    input.receiptId,
    input.deviceId,
    device.name,
    epoch,
    fenced,
    changed.filter((task) => !isTerminal(task.state)).length,
    device.lastSeq,
    input.now,
    input.reason,
    JSON.stringify(closed),
  );
  const latest = record(db, input, epoch);
  return { receipt: requireReceipt(db, input.receiptId), repeated: false, tasks: changed, latest };
}

/** In the log, too. One that cannot be written, because it is damaged, is no reason to go on trusting the device. @returns its offset, or undefined */
function record(
  db: Database,
  { deviceId, receiptId, reason, now }: RevokeInput,
  revocationEpoch: number,
): number | undefined {
  const data = encodeValue({ receiptId, revocationEpoch, reason });
  db.exec("SAVEPOINT recorded");
  try {
    const offset = recordEvent(db, { deviceId, kind: REVOKED_EVENT, data, now });
    db.exec("RELEASE recorded");
    return offset;
  } catch (error) {
    if (!db.inTransaction) throw error;
    db.exec("ROLLBACK TO recorded; RELEASE recorded");
    return undefined;
  }
}

/** A code that lets others in unasked is known to the device: with a key of its own making it would be back before anybody looks. @returns their ids */
function closeWindowsOf(db: Database, deviceId: string): readonly string[] {
  // Of the few that are open each is asked: where there is none it costs nothing, however many requests there ever were.
  const sql = `UPDATE pairing_windows AS w SET state = 'closed', uses_left = 0, sealed_code = NULL
    WHERE state = 'open' AND EXISTS (SELECT 1 FROM pairing_requests r WHERE r.window_id = w.window_id AND r.device_id = ?)
    RETURNING window_id`;
  return db.all(sql, deviceId).map((row) => text(row, "window_id"));
}

/** Take the device's word away on everything it had, and end what only it may run. */
function fenceTasks(
  db: Database,
  { deviceId, now }: RevokeInput,
): { readonly fenced: number; readonly changed: readonly TaskRow[] } {
  const changed: TaskRow[] = [];
  let fenced = 0;
  for (const task of tasksOf(db, deviceId)) {
    const step = stepAndSave(db, task, { kind: "fence", now }, { leaseMs: 0, now, error: DEVICE_REVOKED });
    if (!isWithNode(task)) continue;
    fenced += 1;
    if (task.target.kind !== "device") changed.push(step.task);
  }
  for (const task of boundTo(db, deviceId)) {
    const ended = endRow(task, "failed", now, DEVICE_REVOKED);
    saveTask(db, ended);
    db.run("DELETE FROM task_inputs WHERE task_id = ?", task.taskId);
    changed.push(ended);
  }
  return { fenced, changed };
}

/** Add what was measured after the commit to the receipt; where sessions ended, that is when the device was last seen. */
export function finishRevocation(db: Database, input: FinishRevocationInput): ReceiptRow {
  const { receiptId, sessionsClosed, closedMs, now } = input;
  const sql = "UPDATE receipts SET sessions_closed = ?, closed_ms = ? WHERE receipt_id = ?";
  db.run(sql, sessionsClosed, closedMs, receiptId);
  const receipt = requireReceipt(db, receiptId);
  if (sessionsClosed > 0) db.run("UPDATE devices SET last_seen_at = ? WHERE device_id = ?", now, receipt.deviceId);
  return receipt;
}

/** What a revocation would touch now. */
export function revocationImpact(
  db: Database,
  deviceId: string,
): { readonly runningTasks: number; readonly queuedTasks: number } {
  return {
    runningTasks: attemptsOf(db, deviceId).length,
    queuedTasks: boundTo(db, deviceId).filter((task) => !isWithNode(task)).length,
  };
}

/** Unfinished tasks that may run nowhere else. */
function boundTo(db: Database, deviceId: string): readonly TaskRow[] {
  const sql = "SELECT * FROM tasks WHERE active = 1 AND target_kind = 'device' AND target = ?";
  return db.all(sql, deviceId).map(taskRow);
}

function requireReceipt(db: Database, receiptId: string): ReceiptRow {
  const row = db.get("SELECT * FROM receipts WHERE receipt_id = ?", receiptId);
  if (row === undefined) throw new GatewayError("STORE_FAILED", `no receipt ${receiptId}`);
  return receiptRow(row);
}
