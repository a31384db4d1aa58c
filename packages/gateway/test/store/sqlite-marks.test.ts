import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { Database } from "../../src/store/sqlite/database.ts";
import { bytesUpTo, seekTime } from "../../src/store/sqlite/log-marks.ts";
import { LogTail } from "../../src/store/sqlite/log-tail.ts";
import { APPLICATION_ID, MIGRATIONS } from "../../src/store/sqlite/schema.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { temporaryDirectory } from "./temporary-store.ts";

const DEVICE =
  "INSERT INTO devices (device_id, name, labels, purpose, platform, spki, paired_at) VALUES ('D','d','[]','','','',0)";
const OUTBOX = "INSERT INTO outboxes (outbox, device_id, epoch, acked_seq) VALUES (1, 'D', x'00', 0)";

test("a log from before there were marks is found in by time and amount once it is brought up to date", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "old.db");
  using old = new DatabaseSync(path);
  for (const { version, sql } of MIGRATIONS) if (version <= 4) old.exec(sql);
  old.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 4; BEGIN; ${DEVICE}; ${OUTBOX}`);
  const insert = old.prepare("INSERT INTO events VALUES (?, 1, ?, 'k', 0, ?, ?)");
  // Ten events a tick; the clock went back once.
  const receivedAt = (offset: number) => Math.ceil(offset / 10) + (offset > 1500 ? -20 : 0);
  for (let offset = 1; offset <= 3000; offset += 1) insert.run(offset, offset, receivedAt(offset), new Uint8Array(3));
  old.exec("UPDATE log SET latest = 3000; COMMIT");
  old.close();
  await using store = await openSqliteStore({ path });
  expect(await store.events.seek({ since: 0 })).toBe(0);
  expect(await store.events.seek({ since: 103 })).toBe(1020);
  expect(await store.events.seek({ since: 150 })).toBe(1490);
  expect(await store.events.seek({ since: 151 })).toBe(1700);
  expect(await store.events.seek({ since: 9999 })).toBe(3000);
});

test("once a time from the future is gone, later ones are found behind any number of stretches without one", () => {
  const db = new Database(":memory:");
  for (const { sql } of MIGRATIONS) db.exec(sql);
  db.exec(`${DEVICE}; ${OUTBOX}`);
  const tail = new LogTail(db, { outbox: 1, sum: 0 });
  // One event while the clock was far ahead, then one a tick.
  for (let offset = 1; offset <= 5000; offset += 1) {
    const received = offset === 1 ? 1_000_000 : offset;
    tail.append({ seq: offset, kind: "k", time: 0, received, data: new Uint8Array(3) });
  }
  tail.save(5000);
  db.exec("DELETE FROM events WHERE position <= 10; DELETE FROM log_marks WHERE position <= 10");
  for (const since of [11, 1024, 1025, 2048, 3000, 4097, 5000]) expect(seekTime(db, { since })).toBe(since - 1);
  expect(seekTime(db, { since: 5001 })).toBe(5000);
  db.close();
});

test("the amount of data up to any offset is exact, before, at and after marks, whatever is gone below it", () => {
  const db = new Database(":memory:");
  for (const { sql } of MIGRATIONS) db.exec(sql);
  db.exec(`${DEVICE}; ${OUTBOX}`);
  const sizes = Array.from({ length: 2100 }, (_, index) => 1 + (index % 7));
  const tail = new LogTail(db, { outbox: 1, sum: 0 });
  for (const [index, size] of sizes.entries()) {
    tail.append({ seq: index + 1, kind: "k", time: 0, received: 0, data: new Uint8Array(size) });
  }
  tail.save(sizes.length);
  const total = (offset: number) => sizes.slice(0, offset).reduce((sum, size) => sum + size, 0);
  const places = [0, 1, 1000, 1023, 1024, 1025, 2047, 2048, 2049, 2099, 2100];
  for (const offset of places) expect(bytesUpTo(db, offset)).toBe(total(offset));
  db.exec("DELETE FROM events WHERE position <= 1030; DELETE FROM log_marks WHERE position <= 1030");
  for (const offset of [1030, ...places.filter((place) => place > 1030)])
    expect(bytesUpTo(db, offset)).toBe(total(offset));
  db.close();
});
