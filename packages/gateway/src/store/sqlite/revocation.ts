/** Units of revocation. Everything that makes it true is one transaction; what is measured afterwards is added to the receipt. */
import { isTerminal, type ReceiptRow, type TaskRow } from "../rows.ts";
import { revokeDevice as revokeTask } from "../../tasks/transitions.ts";
import { GatewayError } from "../../errors.ts";
import type { RevokeInput, RevokeResult } from "../port-devices.ts";
import type { Database } from "./database.ts";
import { receiptRow, requireDevice } from "./device-rows.ts";
import { latestReceipt } from "./devices.ts";
import { nextRevocationEpoch } from "./meta.ts";
import { attemptsOf } from "./task-changes.ts";
import { saveChange, taskRow } from "./task-rows.ts";

export function revokeDevice(db: Database, input: RevokeInput): RevokeResult {
  const device = requireDevice(db, input.deviceId);
  if (device.revoked) {
    const receipt = latestReceipt(db, input.deviceId);
    if (receipt === undefined) throw new GatewayError("STORE_CORRUPT", "a revoked device without a receipt");
    return { receipt, repeated: true, tasks: [] };
  }
  const epoch = nextRevocationEpoch(db);
  db.run("UPDATE devices SET revoked_at = ? WHERE device_id = ?", input.now, input.deviceId);
  db.run("UPDATE certificates SET state = 'revoked' WHERE device_id = ? AND state = 'active'", input.deviceId);
  const attempts = attemptsOf(db, input.deviceId);
  const tasks = [...attempts, ...queuedFor(db, input.deviceId)]
    .map((task) => saveChange(db, task, revokeTask(task, input.now), input.now))
    .filter((task) => task !== undefined);
  db.run(
    "INSERT INTO receipts VALUES (?, ?, ?, ?, 0, ?, ?, 0, ?, ?, ?)",
    input.receiptId,
    input.deviceId,
    device.name,
    epoch,
    attempts.length,
    tasks.filter((task) => !isTerminal(task.state)).length,
    device.lastSeq,
    input.now,
    input.reason,
  );
  return { receipt: requireReceipt(db, input.receiptId), repeated: false, tasks };
}

export function finishRevocation(
  db: Database,
  input: { readonly receiptId: string; readonly sessionsClosed: number; readonly closedMs: number },
): ReceiptRow {
  db.run(
    "UPDATE receipts SET sessions_closed = ?, closed_ms = ? WHERE receipt_id = ?",
    input.sessionsClosed,
    input.closedMs,
    input.receiptId,
  );
  return requireReceipt(db, input.receiptId);
}

export function revocationImpact(
  db: Database,
  deviceId: string,
): { readonly runningTasks: number; readonly queuedTasks: number } {
  return { runningTasks: attemptsOf(db, deviceId).length, queuedTasks: queuedFor(db, deviceId).length };
}

/** Tasks that wait and may run nowhere else. */
function queuedFor(db: Database, deviceId: string): readonly TaskRow[] {
  const sql =
    "SELECT * FROM tasks WHERE active = 1 AND state IN ('queued', 'retry-wait') AND target_kind = 'device' AND target = ?";
  return db.all(sql, deviceId).map(taskRow);
}

function requireReceipt(db: Database, receiptId: string): ReceiptRow {
  const row = db.get("SELECT * FROM receipts WHERE receipt_id = ?", receiptId);
  if (row === undefined) throw new GatewayError("STORE_FAILED", `no receipt ${receiptId}`);
  return receiptRow(row);
}
