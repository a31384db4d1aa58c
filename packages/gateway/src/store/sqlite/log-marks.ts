/** Where in the log a time or an amount of data is. Costs the same whatever the log holds: a mark is found by an index, and at most one stretch between two marks is looked at. */
import { number } from "./columns.ts";
import type { Database } from "./database.ts";
import { logBounds } from "./events.ts";

/**
 * The last offset before the first that is kept and whose `received` is at `since` or later: reading after it misses nothing that came at `since` or later. Where the clock has
 * jumped back, older times may come after it. The end of the log where nothing is as new.
 */
export function seekTime(db: Database, { since }: { readonly since: number }): number {
  const { earliest, latest } = logBounds(db);
  if (db.number("SELECT high FROM log WHERE id = 1") < since) return latest;
  const before = db.number(
    "SELECT position FROM log_marks WHERE high < ? ORDER BY high DESC, position DESC LIMIT 1",
    since,
  );
  let start = Math.max(before, earliest - 1);
  // More than one turn only where what was as new in a stretch is gone, or was written before stretches had a time of their own.
  while (start < latest) {
    const end = markFrom(db, start, since) ?? latest;
    const found = db.number(
      "SELECT position FROM events WHERE position > ? AND position <= ? AND received >= ? ORDER BY position LIMIT 1",
      Math.max(start, markBefore(db, end)),
      end,
      since,
    );
    if (found > 0) return found - 1;
    start = end;
  }
  return latest;
}

/** The next mark whose own stretch, from the mark before it, has something as new as `since`. */
function markFrom(db: Database, after: number, since: number): number | undefined {
  const row = db.get(
    "SELECT position FROM log_marks WHERE position > ? AND top >= ? ORDER BY position LIMIT 1",
    after,
    since,
  );
  return row === undefined ? undefined : number(row, "position");
}

function markBefore(db: Database, offset: number): number {
  return db.number("SELECT max(position) FROM log_marks WHERE position < ?", offset);
}

/** Data ever appended up to and with `offset`, which is one that is kept or the one before. */
export function bytesUpTo(db: Database, offset: number): number {
  const { latest } = logBounds(db);
  const mark = nextMark(db, offset - 1, latest);
  const through = db.get("SELECT bytes FROM log_marks WHERE position = ?", mark)?.["bytes"];
  const total = typeof through === "number" ? through : db.number("SELECT bytes FROM log WHERE id = 1");
  const above = db.number(
    "SELECT sum(length(data)) FROM events WHERE position > ? AND position <= ?",
    offset,
    typeof through === "number" ? mark : latest,
  );
  return total - above;
}

/** What a mark says: `high` and `bytes` as they were when its offset was appended. Both only grow. */
export interface LogMark {
  readonly position: number;
  readonly high: number;
  readonly bytes: number;
}

/** The last mark for which something holds that holds for every mark before it; 0 where there is none. */
export function lastMark(db: Database, holds: (mark: LogMark) => boolean): number {
  let low = 0;
  let high = db.number("SELECT max(position) FROM log_marks");
  while (low < high) {
    // Rounded up to a mark, so that each turn takes something away.
    const middle = Math.floor((low + high) / 2);
    const row = db.get(
      "SELECT position, high, bytes FROM log_marks WHERE position > ? ORDER BY position LIMIT 1",
      middle,
    );
    if (row === undefined) break;
    const mark = { position: number(row, "position"), high: number(row, "high"), bytes: number(row, "bytes") };
    if (holds(mark)) low = mark.position;
    else high = middle;
  }
  return low;
}

function nextMark(db: Database, after: number, latest: number): number {
  const next = db.number("SELECT position FROM log_marks WHERE position > ? ORDER BY position LIMIT 1", after);
  return next > 0 ? next : latest;
}
