import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { encodeValue } from "@quaymesh/protocol";
import { deviceIdOf, enrollInput, epochOf, sessionInput, T0 } from "../../../../test/contract/store-fixtures.ts";
import { appendEvents } from "../../src/store/sqlite/append.ts";
import { Database } from "../../src/store/sqlite/database.ts";
import { enroll } from "../../src/store/sqlite/devices.ts";
import { migrate } from "../../src/store/sqlite/open.ts";
import { retain } from "../../src/store/sqlite/retention.ts";
import { retentionFloor } from "../../src/store/sqlite/retention-floor.ts";
import { openSession } from "../../src/store/sqlite/sessions.ts";

const A = deviceIdOf("A");
const EVENTS = 4000;
let db: Database;

/** A log of one device, and subscriptions with one quota, each one further on than the one before. */
beforeEach(() => {
  db = new Database(":memory:");
  migrate(db);
  enroll(db, enrollInput(A));
  openSession(db, sessionInput(A));
  const events = Array.from({ length: EVENTS }, () => ({ kind: "k", time: T0, data: encodeValue(1) }));
  appendEvents(db, { deviceId: A, outboxEpoch: epochOf(1), first: 1, events, now: T0 });
});
afterEach(() => db.close());

function subscribe(count: number, maxEvents: number): void {
  for (let index = 0; index < count; index += 1) {
    db.run(
      `INSERT INTO subscriptions (owner, name, filter, created_by, created_at, last_seen_at, acked, max_age_ms, max_events, max_bytes)
       VALUES ('operator', ?, '{}', 'tests', 0, 0, ?, 1000, ?, 1000000)`,
      `s${String(index).padStart(4, "0")}`,
      10 + index,
      maxEvents,
    );
  }
}

test("what thousands of subscriptions hold back is found without a look at the log for each", () => {
  subscribe(2000, EVENTS);
  const looks = vi.spyOn(db, "number");
  const floor = retentionFloor(db, { wanted: 3000, now: T0 });
  expect(floor).toMatchObject({ upTo: 10, lapsed: [] });
  expect(floor.heldBy).toHaveLength(2000);
  expect(looks.mock.calls.length).toBeLessThan(20);
});

test("where many lapse at once, they do so in pieces, and nothing is dropped before all have that must", () => {
  subscribe(40, 1000);
  const input = { horizon: undefined, maxBytes: undefined, maxEvents: 500, now: T0, limit: 100 };
  const first = retain(db, input);
  expect(first.lapsed).toHaveLength(32);
  // As far as the first that was not judged yet allows.
  expect(first).toMatchObject({ dropped: 42, more: true });
  const second = retain(db, input);
  expect(second.lapsed).toHaveLength(8);
  expect(second).toMatchObject({ dropped: 100, more: true, heldBy: [] });
});
