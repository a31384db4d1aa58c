/** The units that read the event log, and retention. */
import type { SQLInputValue } from "node:sqlite";
import type { EventPage, LogBounds, LogFilter, ReadEvents } from "../port-events.ts";
import type { EventRow } from "../rows.ts";
import { blob, number, text } from "./columns.ts";
import type { Database, RawRow } from "./database.ts";
import { findOutbox } from "./sessions.ts";

/** Rows one read looks at where its filter drops most of them: bounds the time of a read, whatever the filter. */
const MAX_SCAN = 8192;

/** A page of the log, bounded in events, bytes and rows looked at. */
export function readEvents(db: Database, input: ReadEvents): EventPage {
  const { earliest, latest } = logBounds(db);
  const scanEnd = Math.min(latest, input.after + MAX_SCAN);
  const { where, values } = conditions(input.filter);
  const rows = db.each(
    `SELECT e.position, o.device_id, o.epoch, e.seq, e.kind, e.time, e.received, e.data
     FROM events e JOIN outboxes o ON o.outbox = e.outbox
     WHERE e.position > ? AND e.position <= ? ${where} ORDER BY e.position`,
    input.after,
    scanEnd,
    ...values,
  );
  const events: EventRow[] = [];
  let bytes = 0;
  let whole = true;
  for (const row of rows) {
    const event = eventRow(row);
    bytes += event.data.length;
    if (events.length === input.limit || (bytes > input.maxBytes && events.length > 0)) {
      whole = false;
      break;
    }
    events.push(event);
  }
  const last = events.at(-1)?.offset ?? input.after;
  return { events, scannedTo: whole ? Math.max(scanEnd, input.after) : last, earliest, latest };
}

/** What the log holds. */
export function logBounds(db: Database): LogBounds {
  const row = db.get("SELECT earliest, latest FROM log WHERE id = 1");
  return row === undefined
    ? { earliest: 1, latest: 0 }
    : { earliest: number(row, "earliest"), latest: number(row, "latest") };
}

/** Last committed sequence of an outbox; 0 is none. */
export function readWatermark(
  db: Database,
  input: { readonly deviceId: string; readonly outboxEpoch: Uint8Array },
): number {
  return findOutbox(db, input.deviceId, input.outboxEpoch)?.ackedSeq ?? 0;
}

/** Drop events up to and with an offset. @returns how many */
export function compact(db: Database, input: { readonly upTo: number }): number {
  const { earliest, latest } = logBounds(db);
  const upTo = Math.min(input.upTo, latest);
  if (upTo < earliest) return 0;
  const dropped = db.run("DELETE FROM events WHERE position <= ?", upTo);
  db.run("DELETE FROM log_marks WHERE position <= ?", upTo);
  db.run("UPDATE log SET earliest = ? WHERE id = 1", upTo + 1);
  return dropped;
}

function eventRow(row: RawRow): EventRow {
  return {
    offset: number(row, "position"),
    deviceId: text(row, "device_id"),
    outboxEpoch: blob(row, "epoch"),
    seq: number(row, "seq"),
    kind: text(row, "kind"),
    time: number(row, "time"),
    received: number(row, "received"),
    data: blob(row, "data"),
  };
}

function conditions(filter: LogFilter): { readonly where: string; readonly values: readonly SQLInputValue[] } {
  const values: SQLInputValue[] = [];
  let where = "";
  if (filter.devices !== undefined && filter.devices.length > 0) {
    where += " AND o.device_id IN (SELECT value FROM json_each(?))";
    values.push(JSON.stringify(filter.devices));
  }
  if (filter.labels !== undefined && filter.labels.length > 0) {
    // As the devices are labelled now, in the transaction of this read.
    where += ` AND o.device_id IN (SELECT d.device_id FROM devices d, json_each(d.labels) l
      WHERE l.value IN (SELECT value FROM json_each(?)))`;
    values.push(JSON.stringify(filter.labels));
  }
  if (filter.kinds !== undefined && filter.kinds.length > 0) {
    where += ` AND EXISTS (SELECT 1 FROM json_each(?) k WHERE k.value = e.kind
      OR (substr(k.value, -1) = '*' AND substr(e.kind, 1, length(k.value) - 1) = substr(k.value, 1, length(k.value) - 1)))`;
    values.push(JSON.stringify(filter.kinds));
  }
  return { where, values };
}
