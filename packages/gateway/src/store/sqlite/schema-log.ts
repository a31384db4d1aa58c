/** Schema steps of the log's upkeep: what it holds, what may go, and whether it is what was written. */

/** A sum over each event, before its data so that it is found without them; what the log and each outbox hold, so that nobody has to count it. The functions are event-sum.ts's. */
export const SUMS = `
CREATE TABLE events_summed (
  position INTEGER PRIMARY KEY,
  outbox INTEGER NOT NULL REFERENCES outboxes (outbox),
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  time INTEGER NOT NULL,
  received INTEGER NOT NULL,
  sum INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;
INSERT INTO events_summed
  SELECT e.position, e.outbox, e.seq, e.kind, e.time, e.received,
    event_sum(o.device_id, o.epoch, e.position, e.seq, e.kind, e.time, e.received, e.data), e.data
  FROM events e JOIN outboxes o ON o.outbox = e.outbox ORDER BY e.position;
DROP TABLE events;
ALTER TABLE events_summed RENAME TO events;
CREATE UNIQUE INDEX events_seq ON events (outbox, seq);

ALTER TABLE log ADD COLUMN held_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outboxes ADD COLUMN held_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE log SET held_bytes = (SELECT coalesce(sum(event_cost(length(data))), 0) FROM events);
UPDATE outboxes SET held_bytes =
  (SELECT coalesce(sum(event_cost(length(data))), 0) FROM events e WHERE e.outbox = outboxes.outbox);
`;

/** Finding what may go must not look at what may not. */
export const ENDED = `
CREATE INDEX tasks_ended ON tasks (state_since) WHERE active = 0;
CREATE INDEX quarantine_received ON quarantine (received);
`;

/** Filled and kept up by integrity.ts and commit-mark.ts. */
export const INTEGRITY = `
CREATE TABLE integrity (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE commits (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL) STRICT;
INSERT INTO commits VALUES (1, 0);
`;

/** The greatest time of each stretch between two marks, and of the one since the last: `high` says nothing any more of what comes after a clock was ahead. Of older stretches it is a bound. */
export const TOPS = `
ALTER TABLE log ADD COLUMN top INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_marks ADD COLUMN top INTEGER NOT NULL DEFAULT 0;
UPDATE log SET top = high;
UPDATE log_marks SET top = high;
`;
