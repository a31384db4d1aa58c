/** Schema steps of those who read the log: where a time is in it, durable subscriptions, and the policy of who may read what. */

/**
 * `log.high` is the greatest `received` ever appended and `log.bytes` the data ever appended; `log_marks` holds both as they were at every 1024th offset, so that a time or an
 * amount of data is found without a look at the events in between.
 */
export const READING = `
ALTER TABLE log ADD COLUMN high INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE log SET high = coalesce((SELECT max(received) FROM events), 0),
  bytes = coalesce((SELECT sum(length(data)) FROM events), 0);

CREATE TABLE log_marks (
  position INTEGER PRIMARY KEY,
  high INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX log_marks_high ON log_marks (high, position);
INSERT INTO log_marks SELECT position, high, bytes FROM (
  SELECT position, max(received) OVER sofar AS high, sum(length(data)) OVER sofar AS bytes
  FROM events WINDOW sofar AS (ORDER BY position)
) WHERE position % 1024 = 0;

CREATE TABLE subscriptions (
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  filter TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL,
  acked INTEGER NOT NULL,
  epoch INTEGER NOT NULL DEFAULT 0,
  max_age_ms INTEGER NOT NULL,
  max_events INTEGER NOT NULL,
  max_bytes INTEGER NOT NULL,
  lapsed_at INTEGER,
  lapsed_by TEXT CHECK (lapsed_by IN ('age', 'events', 'bytes')),
  PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_acked ON subscriptions (acked) WHERE lapsed_at IS NULL;

CREATE TABLE policies (
  version INTEGER PRIMARY KEY,
  body TEXT NOT NULL,
  set_by TEXT NOT NULL,
  set_at INTEGER NOT NULL
) STRICT;
`;
