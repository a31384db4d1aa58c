/** Units of pairing windows, attempts and requests; see PairingStore for what each promises. */
import type { AttemptCounts, CountFailures, MoveRequest, MoveWindow, RecordAttempt } from "../port-pairing.ts";
import type { PairingRequestRow, WindowRow } from "../rows.ts";
import { number, optionalBlob, optionalText, text } from "./columns.ts";
import type { Database, RawRow } from "./database.ts";

/** Insert a window, or replace it but for its identity. */
export function putWindow(db: Database, row: WindowRow): void {
  db.run(
    `INSERT INTO pairing_windows (window_id, code_id, state, opened_at, expires_at, failures, uses_left, sealed_code, body)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (window_id) DO UPDATE SET
       state = excluded.state, expires_at = excluded.expires_at, failures = excluded.failures, uses_left = excluded.uses_left,
       sealed_code = excluded.sealed_code, body = excluded.body`,
    row.windowId,
    row.codeId ?? null,
    row.state,
    row.openedAt,
    row.expiresAt,
    row.failures,
    row.usesLeft,
    row.sealedCode ?? null,
    row.body,
  );
}

/** A window by its id. */
export function getWindow(db: Database, windowId: string): WindowRow | undefined {
  return windowRow(db.get("SELECT * FROM pairing_windows WHERE window_id = ?", windowId));
}

/** A window by its code. */
export function windowByCode(db: Database, codeId: string): WindowRow | undefined {
  return windowRow(db.get("SELECT * FROM pairing_windows WHERE code_id = ?", codeId));
}

/** Windows in one of some states, oldest first. */
export function listWindows(db: Database, states: readonly string[]): readonly WindowRow[] {
  return db
    .all(
      `SELECT w.* FROM pairing_windows w JOIN json_each(?) s ON w.state = s.value ORDER BY w.opened_at, w.window_id`,
      JSON.stringify(states),
    )
    .map(requireWindow);
}

/** Compare-and-set on a window's state. */
export function moveWindow(db: Database, input: MoveWindow): WindowRow | undefined {
  const row = db.get(
    `UPDATE pairing_windows SET state = ?1, body = coalesce(?2, body), sealed_code = NULL
     WHERE window_id = ?3 AND state IN (SELECT value FROM json_each(?4)) RETURNING *`,
    input.to,
    input.body ?? null,
    input.windowId,
    JSON.stringify(input.from),
  );
  return windowRow(row);
}

/** One of the places of a window is taken, if one is left. @returns whether it was */
export function takePlace(db: Database, windowId: string): boolean {
  return (
    db.run("UPDATE pairing_windows SET uses_left = uses_left - 1 WHERE window_id = ? AND uses_left > 0", windowId) > 0
  );
}

/** Count an attempt before it is judged. */
export function recordAttempt(db: Database, input: RecordAttempt): AttemptCounts {
  // Older ones count for nothing any more.
  db.run("DELETE FROM pairing_attempts WHERE at < ?", input.dayAgo);
  db.run(
    "INSERT INTO pairing_attempts (attempt_id, window_id, secret, prefix, at) VALUES (?, ?, ?, ?, ?)",
    input.attemptId,
    input.windowId,
    input.secret,
    input.prefix,
    input.at,
  );
  const count = "SELECT count(*) FROM pairing_attempts WHERE at >= ?";
  return {
    hour: db.number(count, input.hourAgo),
    day: db.number(count, input.dayAgo),
    prefixHour: db.number(`${count} AND prefix = ?`, input.hourAgo, input.prefix),
  };
}

/** Count a wrong proof against its window, once per attempt. */
export function recordFailure(
  db: Database,
  input: { readonly attemptId: string; readonly windowId: string },
): WindowRow | undefined {
  // It guessed at nothing, so there is nothing to remember: strangers with many addresses do not fill the disk.
  db.run("DELETE FROM pairing_attempts WHERE attempt_id = ? AND window_id = ''", input.attemptId);
  const changed = db.run(
    "UPDATE pairing_attempts SET failed = 1 WHERE attempt_id = ? AND failed = 0 AND proved = 0",
    input.attemptId,
  );
  if (changed === 0) return getWindow(db, input.windowId);
  return windowRow(
    db.get("UPDATE pairing_windows SET failures = failures + 1 WHERE window_id = ? RETURNING *", input.windowId),
  );
}

/** Take a right proof off the count. */
export function recordProof(db: Database, attemptId: string): void {
  db.run("UPDATE pairing_attempts SET proved = 1 WHERE attempt_id = ? AND failed = 0", attemptId);
}

/** Attempts at a window that have not proved themselves, since two moments. */
export function countFailures(db: Database, input: CountFailures): { readonly hour: number; readonly day: number } {
  // Rows of before version 8 do not say what they guessed at. A window without a code id was one with a PIN, and so was one that is gone: it is the smaller budget.
  const count = `SELECT count(*) FROM pairing_attempts a LEFT JOIN pairing_windows w USING (window_id)
    WHERE a.at >= ? AND a.proved = 0 AND a.window_id <> ''
      AND coalesce(a.secret, CASE WHEN w.code_id IS NULL THEN 'pin' ELSE 'ticket' END) = ?`;
  const since = (at: number): number => db.number(count, at, input.secret);
  return { hour: since(input.hourAgo), day: since(input.dayAgo) };
}

/** Insert a request, or replace it but for its identity. */
export function putRequest(db: Database, row: PairingRequestRow): void {
  db.run(
    `INSERT INTO pairing_requests VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO UPDATE SET
       state = excluded.state, updated_at = excluded.updated_at, device_id = excluded.device_id, body = excluded.body`,
    row.requestId,
    row.windowId,
    row.state,
    row.requestedAt,
    row.updatedAt,
    row.deviceId ?? null,
    row.body,
  );
}

/** A request by its id. */
export function getRequest(db: Database, requestId: string): PairingRequestRow | undefined {
  return requestRow(db.get("SELECT * FROM pairing_requests WHERE request_id = ?", requestId));
}

/** Requests in one of some states, oldest first. */
export function listRequests(db: Database, states: readonly string[]): readonly PairingRequestRow[] {
  return db
    .all(
      `SELECT r.* FROM pairing_requests r JOIN json_each(?) s ON r.state = s.value ORDER BY r.requested_at, r.request_id`,
      JSON.stringify(states),
    )
    .map(requireRequest);
}

/** Compare-and-set on a request's state. */
export function moveRequest(db: Database, input: MoveRequest): PairingRequestRow | undefined {
  const row = db.get(
    `UPDATE pairing_requests SET state = ?1, updated_at = ?2, device_id = coalesce(?3, device_id), body = coalesce(?4, body)
     WHERE request_id = ?5 AND state IN (SELECT value FROM json_each(?6)) RETURNING *`,
    input.to,
    input.now,
    input.deviceId ?? null,
    input.body ?? null,
    input.requestId,
    JSON.stringify(input.from),
  );
  return requestRow(row);
}

function windowRow(row: RawRow | undefined): WindowRow | undefined {
  return row === undefined ? undefined : requireWindow(row);
}

function requireWindow(row: RawRow): WindowRow {
  return {
    windowId: text(row, "window_id"),
    codeId: optionalText(row, "code_id"),
    state: text(row, "state"),
    openedAt: number(row, "opened_at"),
    expiresAt: number(row, "expires_at"),
    failures: number(row, "failures"),
    usesLeft: number(row, "uses_left"),
    sealedCode: optionalBlob(row, "sealed_code"),
    body: text(row, "body"),
  };
}

function requestRow(row: RawRow | undefined): PairingRequestRow | undefined {
  return row === undefined ? undefined : requireRequest(row);
}

function requireRequest(row: RawRow): PairingRequestRow {
  return {
    requestId: text(row, "request_id"),
    windowId: text(row, "window_id"),
    state: text(row, "state"),
    requestedAt: number(row, "requested_at"),
    updatedAt: number(row, "updated_at"),
    deviceId: optionalText(row, "device_id"),
    body: text(row, "body"),
  };
}
