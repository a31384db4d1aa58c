import { expect, test } from "vitest";
import { Database } from "../../src/store/sqlite/database.ts";
import { commitGroup } from "../../src/store/sqlite/group-commit.ts";
import { MIGRATIONS } from "../../src/store/sqlite/schema.ts";
import type { Job } from "../../src/store/sqlite/wire.ts";

const DEVICE = `INSERT INTO devices (device_id, name, labels, purpose, platform, spki, paired_at) VALUES ('D','d','[]','','','',0);
  UPDATE log SET latest = 7`;

function revoke(db: Database) {
  const input = { deviceId: "D", receiptId: "r", reason: "", now: 1 };
  const job: Job = { id: 1, unit: "devices.revoke", input };
  return commitGroup(db, [job])[0];
}

test.each([
  { what: "can be written", damage: "", latest: 8 },
  {
    what: "cannot be written",
    damage:
      "CREATE TRIGGER damaged BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'database disk image is malformed'); END",
    latest: undefined,
  },
])("a device is revoked where the log $what, and what is in the log is whole", ({ damage, latest }) => {
  const db = new Database(":memory:");
  for (const { sql } of MIGRATIONS) db.exec(sql);
  db.exec(`${DEVICE}; ${damage}`);
  expect(revoke(db)).toMatchObject({ ok: true, value: { repeated: false, latest } });
  expect(db.number("SELECT revoked_at FROM devices WHERE device_id = 'D'")).toBe(1);
  expect(db.number("SELECT count(*) FROM receipts")).toBe(1);
  expect(db.number("SELECT count(*) FROM events")).toBe(latest === undefined ? 0 : 1);
  expect(db.number("SELECT latest FROM log")).toBe(latest ?? 7);
  db.close();
});
