/** The units that read the event log. */
import type { EventPage, LogBounds, LogFilter, ReadEvents, Verified } from "../port-events.ts";
import type { EventRow } from "../rows.ts";
import { blob, number, text } from "./columns.ts";
import type { Database, RawRow } from "./database.ts";
import { damagedEvent, eventSum, outboxSum, type OutboxSum } from "./event-sum.ts";
import { findOutbox } from "./sessions.ts";

/** Rows one read looks at, and bytes of their data, where its filter drops most of them: bounds the time of a read, whatever the filter. */
const MAX_SCAN = 8192;
const MAX_SCAN_BYTES = 16 * 1024 * 1024;

/**
 * A page of the log, bounded in events, bytes and rows looked at. Every row on the way is held against its sum, those that the filter drops too: a damaged kind or device would drop out of
 * sight. Offsets have no gaps, so that one that is not there was lost.
 * @throws {GatewayError} `EVENT_DAMAGED` when the first event that would be read is; before it, the page ends
 */
export function readEvents(db: Database, input: ReadEvents): EventPage {
  const { earliest, latest } = logBounds(db);
  const passes = filterOf(db, input.filter);
  const events: EventRow[] = [];
  let scannedTo = Math.max(input.after, earliest - 1);
  let bytes = 0;
  let scannedBytes = 0;
  const scanEnd = Math.min(latest, scannedTo + MAX_SCAN);
  for (const event of checkedEvents(db, scannedTo, scanEnd)) {
    if (event === "damaged") {
      // What came before it is still served; who asks for it by itself is told.
      if (events.length === 0) throw damagedEvent(scannedTo + 1);
      return { events, scannedTo, earliest, latest };
    }
    if (passes(event)) {
      bytes += event.data.length;
      if (events.length === input.limit || (bytes > input.maxBytes && events.length > 0)) break;
      events.push(event);
    }
    scannedTo = event.offset;
    scannedBytes += event.data.length;
    if (scannedBytes > MAX_SCAN_BYTES) break;
  }
  return { events, scannedTo: Math.max(scannedTo, input.after), earliest, latest };
}

/** Hold a stretch of the log against its sums. */
export function verifyEvents(db: Database, input: { readonly after: number; readonly limit: number }): Verified {
  const { earliest, latest } = logBounds(db);
  let through = Math.max(input.after, earliest - 1);
  for (const event of checkedEvents(db, through, Math.min(latest, through + input.limit))) {
    through += 1;
    if (event === "damaged") return { through, damaged: through, latest };
  }
  return { through, damaged: undefined, latest };
}

/** The events after `after` up to and with `through`, each as it was stored; `damaged` ends them where the next one is not. */
export function* checkedEvents(db: Database, after: number, through: number): Generator<EventRow | "damaged"> {
  const sums = new Map<number, OutboxSum>();
  const rows = db.each(
    `SELECT e.position, e.outbox, o.device_id, o.epoch, e.seq, e.kind, e.time, e.received, e.sum, e.data
     FROM events e LEFT JOIN outboxes o ON o.outbox = e.outbox
     WHERE e.position > ? AND e.position <= ? ORDER BY e.position`,
    after,
    through,
  );
  let next = after + 1;
  for (const row of rows) {
    const event = row["position"] === next ? soundEvent(row, sums) : undefined;
    if (event === undefined) break;
    yield event;
    next += 1;
  }
  if (next <= through) yield "damaged";
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

function soundEvent(row: RawRow, sums: Map<number, OutboxSum>): EventRow | undefined {
  let event: EventRow;
  try {
    event = eventRow(row);
  } catch {
    return undefined;
  }
  const outbox = number(row, "outbox");
  const begin = sums.get(outbox) ?? outboxSum(event.deviceId, event.outboxEpoch);
  sums.set(outbox, begin);
  return eventSum(begin, event) === row["sum"] ? event : undefined;
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

function filterOf(db: Database, { kinds = [], devices = [], labels = [] }: LogFilter): (event: EventRow) => boolean {
  const named = new Set(devices);
  const labelled = labels.length === 0 ? undefined : devicesWith(db, labels);
  const exact = new Set(kinds);
  const prefixes = kinds.filter((kind) => kind.endsWith("*")).map((kind) => kind.slice(0, -1));
  return ({ deviceId, kind }) =>
    (named.size === 0 || named.has(deviceId)) &&
    labelled?.has(deviceId) !== false &&
    (exact.size === 0 || exact.has(kind) || prefixes.some((prefix) => kind.startsWith(prefix)));
}

/** As the devices are labelled now, in the transaction of this read. */
function devicesWith(db: Database, labels: readonly string[]): ReadonlySet<string> {
  const sql = `SELECT DISTINCT d.device_id FROM devices d, json_each(d.labels) l
    WHERE l.value IN (SELECT value FROM json_each(?))`;
  return new Set(db.all(sql, JSON.stringify(labels)).map((row) => text(row, "device_id")));
}
