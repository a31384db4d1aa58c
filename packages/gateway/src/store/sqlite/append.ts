/** The units that write the event log. One unit inserts, moves the watermark and applies what the events say of tasks. */
import { encodeEvents, type LoggedEvent } from "@quaymesh/protocol/core";
import { GatewayError } from "../../errors.ts";
import type { AppendedPage, AppendEvent, AppendInput, AppendResult, RecordInput } from "../port-events.ts";
import type { TaskRow } from "../rows.ts";
import { number } from "./columns.ts";
import type { Database } from "./database.ts";
import { requireDevice, requireTrusted } from "./device-rows.ts";
import { outboxSum } from "./event-sum.ts";
import { checkedEvents } from "./events.ts";
import { LogTail } from "./log-tail.ts";
import { Quarantine } from "./quarantine.ts";
import { applyReport } from "./task-reports.ts";
import { findOutbox, registerOutbox, type Outbox } from "./sessions.ts";
import { requireTask } from "./task-rows.ts";

/** Kinds in one page of what was just appended. */
const MAX_PAGE_KINDS = 16;

/** The outbox of what the gateway itself records about a device. */
const GATEWAY_EPOCH = new Uint8Array(16);

/** Compare what is stored, insert what is new, move the watermark, apply the task reports. */
export function appendEvents(db: Database, input: AppendInput): AppendResult {
  requireTrusted(db, input.deviceId);
  const outbox = findOutbox(db, input.deviceId, input.outboxEpoch);
  if (outbox === undefined) throw new GatewayError("STORE_FAILED", "the outbox epoch was not registered by a session");
  if (input.first > outbox.ackedSeq + 1) return { kind: "expected", seq: outbox.ackedSeq + 1 };
  const { deviceId, outboxEpoch, events, maxHeldBytes } = input;
  if (maxHeldBytes !== undefined && input.first + events.length - 1 > outbox.ackedSeq) {
    const heldBytes = db.number("SELECT sum(held_bytes) FROM outboxes WHERE device_id = ?", input.deviceId);
    if (heldBytes >= maxHeldBytes) return { kind: "over-quota", heldBytes };
  }

  const conflicts: number[] = [];
  const quarantine = new Quarantine(db, { deviceId: input.deviceId, outbox: outbox.outbox, now: input.now });
  const touched = new Set<string>();
  const tail = new LogTail(db, { ...outbox, sum: outboxSum(input.deviceId, input.outboxEpoch) });
  let { ackedSeq } = outbox;
  const logged: LoggedEvent[] = [];
  for (const [index, event] of events.entries()) {
    const seq = input.first + index;
    if (seq <= ackedSeq) {
      if (isConflict(db, outbox, seq, event)) {
        conflicts.push(seq);
        quarantine.setAside(seq, event);
      }
      continue;
    }
    const { kind, time, data } = event;
    const received = input.now;
    tail.append({ seq, kind, time, received, data });
    ackedSeq = seq;
    logged.push({ offset: tail.offset, device: deviceId, outboxEpoch, seq, kind, time, received, data });
    if (event.report !== undefined && applyReport(db, event.report, { ...input, time: event.time })) {
      touched.add(event.report.data.taskId);
    }
  }
  if (logged.length > 0) tail.save(ackedSeq);
  const tasks: TaskRow[] = [...touched].map((taskId) => requireTask(db, taskId));
  const page = input.pageWanted === true ? pageOf(logged) : undefined;
  const stored = {
    kind: "stored",
    ackedSeq,
    lastOffset: tail.offset,
    inserted: logged.length,
    conflicts,
    tasks,
  } as const;
  return page === undefined ? stored : { ...stored, page };
}

/** Not of so many kinds that whoever reads it would have to look at each event after all. */
function pageOf(logged: readonly LoggedEvent[]): AppendedPage | undefined {
  const kinds = [...new Set(logged.map(({ kind }) => kind))];
  const [first] = logged;
  if (first === undefined || kinds.length > MAX_PAGE_KINDS) return undefined;
  return { deviceId: first.device, kinds, events: encodeEvents(logged) };
}

/** An event of the gateway's own: in the same log, under an outbox of its own. @returns its offset */
export function recordEvent(db: Database, input: RecordInput): number {
  requireDevice(db, input.deviceId);
  const outbox = registerOutbox(db, input.deviceId, GATEWAY_EPOCH);
  const tail = new LogTail(db, { ...outbox, sum: outboxSum(input.deviceId, GATEWAY_EPOCH) });
  const seq = outbox.ackedSeq + 1;
  const { kind, data, now } = input;
  tail.append({ seq, kind, time: now, received: now, data });
  tail.save(seq);
  return tail.offset;
}

/** A sequence that is stored: the same event again is a replay, another one under its name a conflict. A compacted one cannot be compared, nor a damaged one. */
function isConflict(db: Database, { outbox }: Outbox, seq: number, event: AppendEvent): boolean {
  const offset = db.get("SELECT position FROM events WHERE outbox = ? AND seq = ?", outbox, seq);
  if (offset === undefined) return false;
  const [stored] = checkedEvents(db, number(offset, "position") - 1, number(offset, "position"));
  // The index may be what is damaged, and show the way to another event.
  if (stored === undefined || stored === "damaged" || stored.seq !== seq) return false;
  return stored.kind !== event.kind || stored.time !== event.time || !equal(stored.data, event.data);
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
