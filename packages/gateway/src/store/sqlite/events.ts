/** The units that read the event log. */
import { encodeEvents, type LoggedEvent } from "@quaymesh/protocol/core";
import { kindFilter } from "../kind-filter.ts";
import type { EventPage, LogBounds, LogFilter, ReadEvents, Verified } from "../port-events.ts";
import { number, text } from "./columns.ts";
import type { Database } from "./database.ts";
import { damagedEvent, eventSum, outboxSum, type OutboxSum } from "./event-sum.ts";
import { findOutbox } from "./sessions.ts";

/** Rows one read looks at, and bytes of their data, where its filter drops most of them: bounds the time of a read, whatever the filter. */
const MAX_SCAN = 8192;
const MAX_SCAN_BYTES = 16 * 1024 * 1024;

/** Rows taken out of SQLite at once: first so many, then by what their data came to. What a reader does not want after all was read in vain. */
const FIRST_ROWS = 64;
const MAX_ROWS = 512;
const ROWS_BYTES = 256 * 1024;

const STRETCH = "FROM events WHERE position > ? AND position <= ? ORDER BY position";
const ROWS = `SELECT position, outbox, seq, kind, time, received, sum, octet_length(data) ${STRETCH}`;
/** Of a row. */
const BODY_BYTES = 7;
/**
 * The bodies, one behind the other: a buffer of its own for each takes a third of the time of reading. SQLite puts text together and takes the bytes of a blob for it as they are, whatever they are;
 * that it did is what the sums say.
 */
const BODIES = `SELECT CAST(group_concat(data, '') AS BLOB) FROM (SELECT data ${STRETCH})`;

/**
 * A page of the log, bounded in events, bytes and rows looked at. Every row on the way is held against its sum, those that the filter drops too: a damaged kind or device would drop out of
 * sight. Offsets have no gaps, so that one that is not there was lost.
 * @throws {GatewayError} `EVENT_DAMAGED` when the first event that would be read is; before it, the page ends
 */
export function readEvents(db: Database, input: ReadEvents): EventPage {
  const { earliest, latest } = logBounds(db);
  const passes = readerOf(db, input);
  const events: LoggedEvent[] = [];
  let scannedTo = Math.max(input.after, earliest - 1);
  let bytes = 0;
  let scannedBytes = 0;
  const scanEnd = Math.min(latest, scannedTo + MAX_SCAN);
  for (const event of checkedEvents(db, scannedTo, scanEnd)) {
    if (event === "damaged") {
      // What came before it is still served; who asks for it by itself is told.
      if (events.length === 0) throw damagedEvent(scannedTo + 1);
      return { events: encodeEvents(events), scannedTo, earliest, latest };
    }
    if (passes(event)) {
      bytes += event.data.length;
      if (bytes > input.maxBytes && events.length > 0) break;
      events.push(event);
    }
    scannedTo = event.offset;
    scannedBytes += event.data.length;
    if (events.length >= input.limit || scannedBytes > MAX_SCAN_BYTES) break;
  }
  return { events: encodeEvents(events), scannedTo: Math.max(scannedTo, input.after), earliest, latest };
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
export function* checkedEvents(db: Database, after: number, through: number): Generator<LoggedEvent | "damaged"> {
  const outboxes = new Map<unknown, KnownOutbox | undefined>();
  let next = after + 1;
  let most = FIRST_ROWS;
  while (next <= through) {
    const { rows, end } = rowsWithin(db, next - 1, Math.min(through, next - 1 + most));
    const bodies = db.allTuples(BODIES, next - 1, end)[0]?.[0];
    let bytes = 0;
    for (const row of rows) {
      const data = bodyOf(row, bodies, bytes);
      const event = row[0] === next && data !== undefined ? soundEvent(db, row, { data, outboxes }) : undefined;
      if (event === undefined) break;
      bytes += event.data.length;
      yield event;
      next += 1;
    }
    if (next <= end) {
      yield "damaged";
      return;
    }
    most = Math.max(1, Math.min(MAX_ROWS, Math.floor((ROWS_BYTES * rows.length) / bytes)));
  }
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

/** What all events of an outbox share; looked up once a read instead of joined to each row. */
interface KnownOutbox {
  readonly deviceId: string;
  readonly epoch: Uint8Array;
  readonly sum: OutboxSum;
}

/** The first rows after an offset whose bodies are about {@link ROWS_BYTES}, one at least where there is one, and how far they go. */
function rowsWithin(db: Database, after: number, through: number) {
  const rows = db.allTuples(ROWS, after, through);
  let bytes = 0;
  const cut = rows.findIndex(({ [BODY_BYTES]: more }) => (bytes += Number(more)) > ROWS_BYTES);
  const last = rows[cut]?.[0];
  return typeof last === "number" ? { rows: rows.slice(0, cut + 1), end: last } : { rows, end: through };
}

/** A row's part of all bodies, which begins at `at`. */
function bodyOf({ [BODY_BYTES]: bytes }: readonly unknown[], bodies: unknown, at: number): Uint8Array | undefined {
  if (typeof bytes !== "number" || !(bodies instanceof Uint8Array)) return undefined;
  return at + bytes > bodies.length ? undefined : bodies.subarray(at, at + bytes);
}

function soundEvent(
  db: Database,
  [offset, outboxId, seq, kind, time, received, sum]: readonly unknown[],
  { data, outboxes }: { readonly data: Uint8Array; readonly outboxes: Map<unknown, KnownOutbox | undefined> },
): LoggedEvent | undefined {
  if (!outboxes.has(outboxId)) outboxes.set(outboxId, knownOutbox(db, outboxId));
  const outbox = outboxes.get(outboxId);
  if (
    outbox === undefined ||
    typeof offset !== "number" ||
    typeof seq !== "number" ||
    typeof kind !== "string" ||
    typeof time !== "number" ||
    typeof received !== "number"
  )
    return undefined;
  const { deviceId: device, epoch: outboxEpoch } = outbox;
  const event: LoggedEvent = { offset, device, outboxEpoch, seq, kind, time, received, data };
  return eventSum(outbox.sum, event) === sum ? event : undefined;
}

function knownOutbox(db: Database, outbox: unknown): KnownOutbox | undefined {
  if (typeof outbox !== "number") return undefined;
  const row = db.get("SELECT device_id, epoch FROM outboxes WHERE outbox = ?", outbox);
  const [deviceId, epoch] = [row?.["device_id"], row?.["epoch"]];
  if (typeof deviceId !== "string" || !(epoch instanceof Uint8Array)) return undefined;
  return { deviceId, epoch, sum: outboxSum(deviceId, epoch) };
}

/** What the reader wants, within what it may see. */
function readerOf(db: Database, { filter, grants }: ReadEvents): (event: LoggedEvent) => boolean {
  const wanted = filterOf(db, filter);
  if (grants === undefined) return wanted;
  const allowed = grants.map((grant) => filterOf(db, grant));
  return (event) => wanted(event) && allowed.some((passes) => passes(event));
}

function filterOf(db: Database, { kinds, devices = [], labels = [] }: LogFilter): (event: LoggedEvent) => boolean {
  const named = new Set(devices);
  const labelled = labels.length === 0 ? undefined : devicesWith(db, labels);
  const isNamed = kindFilter(kinds);
  return ({ device, kind }) =>
    (named.size === 0 || named.has(device)) && labelled?.has(device) !== false && isNamed(kind);
}

/** As the devices are labelled now, in the transaction of this read. */
function devicesWith(db: Database, labels: readonly string[]): ReadonlySet<string> {
  const sql = `SELECT DISTINCT d.device_id FROM devices d, json_each(d.labels) l
    WHERE l.value IN (SELECT value FROM json_each(?))`;
  return new Set(db.all(sql, JSON.stringify(labels)).map((row) => text(row, "device_id")));
}
