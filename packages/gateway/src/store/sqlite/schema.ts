/** The SQLite schema as forward-only steps. A step that has been released is never edited: a new one is added. */

import { ENDED, INTEGRITY, SUMS, TOPS } from "./schema-log.ts";
import { READING } from "./schema-reading.ts";

/** One step: SQL that takes the schema from the version before to its own. */
export interface Migration {
  readonly version: number;
  readonly sql: string;
}

const DEVICES = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
  device_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  labels TEXT NOT NULL,
  purpose TEXT NOT NULL,
  platform TEXT NOT NULL,
  software TEXT NOT NULL DEFAULT '',
  spki TEXT NOT NULL UNIQUE,
  paired_at INTEGER NOT NULL,
  last_seen_at INTEGER,
  remote_address TEXT NOT NULL DEFAULT '',
  capabilities TEXT NOT NULL DEFAULT '[]',
  session_epoch INTEGER NOT NULL DEFAULT 0,
  outbox INTEGER,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_name ON devices (name);

CREATE TABLE certificates (
  serial TEXT PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES devices (device_id),
  spki TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  issued_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'retired', 'revoked')),
  chain BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_device ON certificates (device_id, issued_at);

CREATE TABLE receipts (
  receipt_id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES devices (device_id),
  device_name TEXT NOT NULL,
  revocation_epoch INTEGER NOT NULL UNIQUE,
  sessions_closed INTEGER NOT NULL,
  attempts_fenced INTEGER NOT NULL,
  tasks_requeued INTEGER NOT NULL,
  closed_ms REAL NOT NULL,
  last_seq INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_device ON receipts (device_id, revocation_epoch);
`;

const PAIRING = `
CREATE TABLE pairing_windows (
  window_id TEXT PRIMARY KEY,
  code_id TEXT UNIQUE,
  state TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pairing_windows_state ON pairing_windows (state, opened_at);

CREATE TABLE pairing_attempts (
  attempt_id TEXT PRIMARY KEY,
  window_id TEXT NOT NULL,
  prefix TEXT NOT NULL,
  at INTEGER NOT NULL,
  failed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX pairing_attempts_at ON pairing_attempts (at);

CREATE TABLE pairing_requests (
  request_id TEXT PRIMARY KEY,
  window_id TEXT NOT NULL,
  state TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  device_id TEXT,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pairing_requests_state ON pairing_requests (state, requested_at);
`;

const EVENTS = `
CREATE TABLE outboxes (
  outbox INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES devices (device_id),
  epoch BLOB NOT NULL,
  acked_seq INTEGER NOT NULL,
  UNIQUE (device_id, epoch)
) STRICT;

CREATE TABLE log (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  earliest INTEGER NOT NULL,
  latest INTEGER NOT NULL
) STRICT;
INSERT INTO log VALUES (1, 1, 0);

CREATE TABLE events (
  position INTEGER PRIMARY KEY,
  outbox INTEGER NOT NULL REFERENCES outboxes (outbox),
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  time INTEGER NOT NULL,
  received INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_seq ON events (outbox, seq);

CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY,
  outbox INTEGER NOT NULL REFERENCES outboxes (outbox),
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  time INTEGER NOT NULL,
  received INTEGER NOT NULL,
  data BLOB NOT NULL,
  UNIQUE (outbox, seq, kind, time, data)
) STRICT;
`;

// `due_at` is the earliest moment at which something happens to an unfinished task by itself, so that finding what is due never scans the rest.
const TASKS = `
CREATE TABLE tasks (
  no INTEGER PRIMARY KEY,
  task_id TEXT NOT NULL UNIQUE,
  definition TEXT NOT NULL,
  target_kind TEXT NOT NULL CHECK (target_kind IN ('device', 'label', 'any')),
  target TEXT NOT NULL,
  state TEXT NOT NULL,
  active INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  state_since INTEGER NOT NULL,
  device_id TEXT,
  attempt INTEGER NOT NULL DEFAULT 0,
  token INTEGER NOT NULL DEFAULT 0,
  node_deaths INTEGER NOT NULL DEFAULT 0,
  progress REAL NOT NULL DEFAULT 0,
  progress_message TEXT NOT NULL DEFAULT '',
  input_bytes INTEGER NOT NULL,
  output_bytes INTEGER NOT NULL DEFAULT 0,
  error_code TEXT,
  error_message TEXT,
  finished_late INTEGER NOT NULL DEFAULT 0,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  cancel_reason TEXT NOT NULL DEFAULT '',
  fenced INTEGER NOT NULL DEFAULT 0,
  gone INTEGER NOT NULL DEFAULT 0,
  accepted INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER,
  attempt_deadline INTEGER,
  queue_deadline INTEGER NOT NULL,
  retry_at INTEGER,
  due_at INTEGER,
  timeout_ms INTEGER NOT NULL,
  queue_ms INTEGER NOT NULL,
  exclusive INTEGER NOT NULL,
  idempotent INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  submitter TEXT NOT NULL,
  idempotency_key TEXT,
  body_hash TEXT NOT NULL,
  log_lines INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX tasks_key ON tasks (submitter, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_active ON tasks (no) WHERE active = 1;
CREATE INDEX tasks_due ON tasks (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX tasks_device ON tasks (device_id) WHERE active = 1;
CREATE INDEX tasks_target ON tasks (target) WHERE active = 1 AND target_kind = 'device';

CREATE TABLE task_attempts (
  task_id TEXT NOT NULL REFERENCES tasks (task_id),
  token INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  device_id TEXT NOT NULL REFERENCES devices (device_id),
  leased_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  outcome TEXT,
  PRIMARY KEY (task_id, token)
) STRICT, WITHOUT ROWID;

CREATE TABLE task_inputs (
  task_id TEXT NOT NULL REFERENCES tasks (task_id),
  piece INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (task_id, piece)
) STRICT;

CREATE TABLE task_outputs (
  task_id TEXT NOT NULL REFERENCES tasks (task_id),
  token INTEGER NOT NULL,
  piece INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (task_id, token, piece)
) STRICT;

CREATE TABLE task_logs (
  task_id TEXT NOT NULL REFERENCES tasks (task_id),
  line INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  level TEXT NOT NULL,
  message TEXT NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (task_id, line)
) STRICT, WITHOUT ROWID;
`;

// An attempt counts as a failed guess unless it is known to have proved itself. Of earlier rows nobody knows, so they count for their day.
const PROVED = `
ALTER TABLE pairing_attempts ADD COLUMN proved INTEGER NOT NULL DEFAULT 0;
`;

// Windows that let several devices in and outlive a restart; what an attempt guessed at, which its window's row no longer says; and keys that a revoked device had.
const WINDOW_USES = `
ALTER TABLE pairing_windows ADD COLUMN uses_left INTEGER NOT NULL DEFAULT 1;
ALTER TABLE pairing_windows ADD COLUMN sealed_code BLOB;
ALTER TABLE pairing_attempts ADD COLUMN secret TEXT;
CREATE INDEX certificates_spki ON certificates (spki);
`;

// When an operator asked for another certificate, until one issued since has been used.
const ROTATION = `
ALTER TABLE devices ADD COLUMN rotation_requested_at INTEGER;
`;

// Join tokens: without a current one whatever a device shows is taken.
const JOINS = `
ALTER TABLE devices ADD COLUMN join_current BLOB;
ALTER TABLE devices ADD COLUMN join_previous BLOB;
ALTER TABLE devices ADD COLUMN frozen_at INTEGER;
`;

// What devices have said they know of their mesh: its newest root, and where its gateway moves.
const MESH_NEWS = `
ALTER TABLE devices ADD COLUMN root_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN move_version INTEGER NOT NULL DEFAULT 0;
`;

// Each opening of the store, and how far it had come before: see lineage.ts.
const INCARNATIONS = `
CREATE TABLE incarnations (
  generation INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  revocation_epoch INTEGER NOT NULL,
  log_offset INTEGER NOT NULL
) STRICT;
`;

// The pairing windows that ended with a revocation.
const RECEIPT_WINDOWS = `
ALTER TABLE receipts ADD COLUMN windows_closed TEXT NOT NULL DEFAULT '[]';
`;

/** Every step, in order. */
export const MIGRATIONS: readonly Migration[] = [
  { version: 1, sql: DEVICES + PAIRING + EVENTS + TASKS },
  { version: 2, sql: PROVED },
  { version: 3, sql: ROTATION },
  { version: 4, sql: JOINS },
  { version: 5, sql: READING },
  { version: 6, sql: SUMS },
  { version: 7, sql: MESH_NEWS },
  { version: 8, sql: WINDOW_USES },
  { version: 9, sql: ENDED },
  { version: 10, sql: INTEGRITY },
  { version: 11, sql: INCARNATIONS },
  { version: 12, sql: TOPS },
  // Nothing new but a guard, for what is there: see integrity.ts.
  { version: 13, sql: "" },
  { version: 14, sql: RECEIPT_WINDOWS },
];

/** Marks a file as ours: "Quay" in ASCII, in SQLite's application_id. */
export const APPLICATION_ID = 0x51756179;
