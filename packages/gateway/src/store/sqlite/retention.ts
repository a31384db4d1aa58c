/** Retention: the oldest events go, in pieces so small that no commit waits long for one. */
import type { LogUsage, RetainInput, RetainResult } from "../port-events.ts";
import { number } from "./columns.ts";
import type { Database } from "./database.ts";
import { eventCost } from "./event-sum.ts";
import { logBounds } from "./events.ts";
import { lastMark, type LogMark } from "./log-marks.ts";
import { retentionFloor } from "./retention-floor.ts";

/** Data dropped in one piece, about: large events lie on many pages, and each page freed takes its time. */
const MAX_PIECE_BYTES = 4 * 1024 * 1024;
/** A stamp beyond the clock by more than this says that the clock was wrong then. */
const CLOCK_TOLERANCE_MS = 60_000;
/** Pages given back in one piece. */
const VACUUM_PAGES = 512;
/** Free space that is kept for what comes next: giving it back and taking it again would be work for nothing. */
const KEPT_FREE_SHARE = 0.1;
const KEPT_FREE_PAGES = 2048;

/** Drop a piece of what may go, or, where nothing may, give a piece of free disk back. */
export function retain(db: Database, input: RetainInput): RetainResult {
  const mayGo = droppable(db, input);
  if (mayGo > 0) {
    const wanted = Math.max(mayGo, wantedUpTo(db, input));
    const floor = retentionFloor(db, { wanted, now: input.now, agedAt: input.agedAt ?? input.now });
    const dropped = dropUpTo(db, Math.min(mayGo, floor.upTo));
    const { heldBy, lapsed } = floor;
    // There is more at least to look for: what was dropped may have left disk to give back.
    if (dropped > 0) return { dropped, pagesFreed: 0, more: true, heldBy, lapsed };
    const freed = vacuumed(db);
    // Others may have to lapse as well before anything may go.
    return { ...freed, more: freed.more || lapsed.length > 0, heldBy, lapsed };
  }
  return { ...vacuumed(db), heldBy: [], lapsed: [] };
}

/** Drop events up to and with an offset, and count off what they took. @returns how many */
export function dropUpTo(db: Database, offset: number): number {
  const { earliest, latest } = logBounds(db);
  const upTo = Math.min(offset, latest);
  if (upTo < earliest) return 0;
  const sizes = "SELECT outbox, sum(event_cost(length(data))) AS bytes FROM events WHERE position <= ? GROUP BY outbox";
  let bytes = 0;
  for (const row of db.all(sizes, upTo)) {
    bytes += number(row, "bytes");
    db.run(
      "UPDATE outboxes SET held_bytes = held_bytes - ? WHERE outbox = ?",
      number(row, "bytes"),
      number(row, "outbox"),
    );
  }
  const dropped = db.run("DELETE FROM events WHERE position <= ?", upTo);
  db.run("DELETE FROM log_marks WHERE position <= ?", upTo);
  db.run("UPDATE log SET earliest = ?, held_bytes = held_bytes - ? WHERE id = 1", upTo + 1, bytes);
  return dropped;
}

/** What the log holds. */
export function logUsage(db: Database): LogUsage {
  const { earliest, latest } = logBounds(db);
  const pageBytes = db.number("PRAGMA page_size");
  return {
    earliest,
    latest,
    bytes: heldBytes(db),
    oldestAt: receivedAt(db, earliest),
    fileBytes: pageBytes * db.number("PRAGMA page_count"),
    freeBytes: pageBytes * db.number("PRAGMA freelist_count"),
  };
}

function receivedAt(db: Database, offset: number): number | undefined {
  const row = db.get("SELECT received FROM events WHERE position = ?", offset);
  return row === undefined ? undefined : number(row, "received");
}

/** The last of a piece of the oldest events that the policy lets go; 0 where there are none. */
function droppable(db: Database, input: RetainInput): number {
  const { earliest, latest } = logBounds(db);
  let excessBytes = heldBytes(db) - (input.maxBytes ?? Number.MAX_SAFE_INTEGER);
  let excessEvents = latest + 1 - earliest - (input.maxEvents ?? Number.MAX_SAFE_INTEGER);
  let upTo = 0;
  let looked = 0;
  let bytes = 0;
  // Behind a stamp from the future the next believable one decides.
  let undecided = 0;
  const rows = db.each(
    "SELECT position, received, length(data) AS size FROM events WHERE position >= ? ORDER BY position",
    earliest,
  );
  for (const row of rows) {
    const verdict = excessBytes > 0 || excessEvents > 0 ? "old" : ageOf(number(row, "received"), input);
    if (verdict === "young") return upTo;
    if (looked === input.limit || bytes >= MAX_PIECE_BYTES) break;
    const cost = eventCost(number(row, "size"));
    looked += 1;
    bytes += cost;
    excessBytes -= cost;
    excessEvents -= 1;
    if (verdict === "old") upTo = number(row, "position");
    else undecided = number(row, "position");
  }
  if (upTo < undecided && isFollowedByOld(db, undecided, input)) upTo = undecided;
  return upTo;
}

/** All that the policy lets go, to the mark before: what a subscription that needs it is judged by. */
function wantedUpTo(db: Database, { horizon, maxBytes, maxEvents }: RetainInput): number {
  const { latest } = logBounds(db);
  const row = db.get("SELECT bytes FROM log WHERE id = 1");
  const allBytes = row === undefined ? 0 : number(row, "bytes");
  const costAfter = (mark: LogMark): number => eventCost(0) * (latest - mark.position) + allBytes - mark.bytes;
  return Math.max(
    horizon === undefined ? 0 : lastMark(db, ({ high }) => high <= horizon),
    maxBytes === undefined ? 0 : lastMark(db, (mark) => costAfter(mark) >= maxBytes),
    maxEvents === undefined ? 0 : latest - maxEvents,
  );
}

function heldBytes(db: Database): number {
  return db.number("SELECT held_bytes FROM log WHERE id = 1");
}

type Age = "old" | "young" | "unknown";

function ageOf(received: number, { horizon, now }: RetainInput): Age {
  if (horizon === undefined) return "young";
  if (received > now + CLOCK_TOLERANCE_MS) return "unknown";
  return received <= horizon ? "old" : "young";
}

/** Where the clock was ahead for long, a whole piece may be from the future: look ever further for a stamp that can be believed. */
function isFollowedByOld(db: Database, offset: number, input: RetainInput): boolean {
  const { latest } = logBounds(db);
  for (let step = 1; offset + step <= latest; step *= 2) {
    const received = receivedAt(db, offset + step);
    const age = received === undefined ? "unknown" : ageOf(received, input);
    if (age !== "unknown") return age === "old";
  }
  return false;
}

function vacuumed(db: Database): Pick<RetainResult, "dropped" | "pagesFreed" | "more"> {
  const pagesFreed = giveBack(db);
  return { dropped: 0, pagesFreed, more: pagesFreed > 0 };
}

/** @returns how many pages went; 0 where the file was made without incremental vacuum, and its free pages are reused only */
function giveBack(db: Database): number {
  const INCREMENTAL = 2;
  if (db.number("PRAGMA auto_vacuum") !== INCREMENTAL) return 0;
  const free = db.number("PRAGMA freelist_count");
  const kept = Math.max(KEPT_FREE_PAGES, db.number("PRAGMA page_count") * KEPT_FREE_SHARE);
  if (free <= kept) return 0;
  const pages = Math.min(VACUUM_PAGES, Math.ceil(free - kept));
  db.exec(`PRAGMA incremental_vacuum(${pages})`);
  return pages;
}
