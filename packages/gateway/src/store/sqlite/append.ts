/** The units that write the event log. One unit inserts, moves the watermark and applies what the events say of tasks. */
import { GatewayError } from "../../errors.ts";
import type { AppendEvent, AppendInput, AppendResult, RecordInput } from "../port-events.ts";
import type { TaskRow } from "../rows.ts";
import { blob, number, text } from "./columns.ts";
import type { Database } from "./database.ts";
import { requireDevice, requireTrusted } from "./device-rows.ts";
import { LogTail } from "./log-tail.ts";
import { applyReport } from "./task-reports.ts";
import { findOutbox, registerOutbox, type Outbox } from "./sessions.ts";
import { requireTask } from "./task-rows.ts";

/** The outbox of what the gateway itself records about a device. */
const GATEWAY_EPOCH = new Uint8Array(16);

/** Compare what is stored, insert what is new, move the watermark, apply the task reports. */
export function appendEvents(db: Database, input: AppendInput): AppendResult {
  requireTrusted(db, input.deviceId);
  const outbox = findOutbox(db, input.deviceId, input.outboxEpoch);
  if (outbox === undefined) throw new GatewayError("STORE_FAILED", "the outbox epoch was not registered by a session");
  if (input.first > outbox.ackedSeq + 1) return { kind: "expected", seq: outbox.ackedSeq + 1 };

  const conflicts: number[] = [];
  const touched = new Set<string>();
  const tail = new LogTail(db);
  let { ackedSeq } = outbox;
  let inserted = 0;
  for (const [index, event] of input.events.entries()) {
    const seq = input.first + index;
    if (seq <= ackedSeq) {
      if (isConflict(db, outbox, seq, event, input.now)) conflicts.push(seq);
      continue;
    }
    const { kind, time, data } = event;
    tail.append({ outbox: outbox.outbox, seq, kind, time, received: input.now, data });
    ackedSeq = seq;
    inserted += 1;
    if (event.report !== undefined && applyReport(db, event.report, { ...input, time: event.time })) {
      touched.add(event.report.data.taskId);
    }
  }
  if (inserted > 0) {
    db.run("UPDATE outboxes SET acked_seq = ? WHERE outbox = ?", ackedSeq, outbox.outbox);
    tail.save();
  }
  const tasks: TaskRow[] = [...touched].map((taskId) => requireTask(db, taskId));
  return { kind: "stored", ackedSeq, lastOffset: tail.offset, inserted, conflicts, tasks };
}

/** An event of the gateway's own: in the same log, under an outbox of its own. @returns its offset */
export function recordEvent(db: Database, input: RecordInput): number {
  requireDevice(db, input.deviceId);
  const outbox = registerOutbox(db, input.deviceId, GATEWAY_EPOCH);
  const tail = new LogTail(db);
  const seq = outbox.ackedSeq + 1;
  const { kind, data, now } = input;
  tail.append({ outbox: outbox.outbox, seq, kind, time: now, received: now, data });
  db.run("UPDATE outboxes SET acked_seq = ? WHERE outbox = ?", seq, outbox.outbox);
  tail.save();
  return tail.offset;
}

/** A sequence that is stored: the same event again is a replay, another one under its name is kept aside. A compacted one cannot be compared. */
function isConflict(db: Database, { outbox }: Outbox, seq: number, event: AppendEvent, now: number): boolean {
  const row = db.get("SELECT kind, time, data FROM events WHERE outbox = ? AND seq = ?", outbox, seq);
  if (row === undefined) return false;
  const same =
    text(row, "kind") === event.kind && number(row, "time") === event.time && equal(blob(row, "data"), event.data);
  if (same) return false;
  db.run(
    "INSERT INTO quarantine (outbox, seq, kind, time, received, data) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    outbox,
    seq,
    event.kind,
    event.time,
    now,
    event.data,
  );
  return true;
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
