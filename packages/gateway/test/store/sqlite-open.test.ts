import { randomBytes } from "node:crypto";
import { copyFile, open, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { readGeneration, writeGeneration } from "../../src/store/sqlite/generation.ts";
import { APPLICATION_ID, MIGRATIONS } from "../../src/store/sqlite/schema.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { temporaryDirectory, temporaryStore } from "./temporary-store.ts";

test("a second gateway on one store is refused, and may come when the first is gone", async () => {
  await using under = await temporaryStore();
  const path = join(under.directory, "gateway.db");
  await expect(openSqliteStore({ path })).rejects.toMatchObject({ code: "STORE_IN_USE" });
  await under.store.meta.put("still", "works");
  await under.store.close();
  const second = await openSqliteStore({ path });
  expect(await second.meta.get("still")).toBe("works");
  await second.close();
});

test("a damaged database is refused as damaged, and left as it is", async () => {
  await using under = await temporaryStore();
  const path = join(under.directory, "gateway.db");
  for (let index = 0; index < 200; index++)
    await under.store.meta.put(`key ${index}`, randomBytes(200).toString("hex"));
  await under.store.close();
  const file = await open(path, "r+");
  // The middle of the file: pages of rows, not the header.
  await file.write(randomBytes(16_384), 0, 16_384, 40_960);
  await file.close();
  const before = await readFile(path);
  await expect(openSqliteStore({ path })).rejects.toMatchObject({ code: "STORE_CORRUPT" });
  expect(Buffer.compare(await readFile(path), before)).toBe(0);
});

test("a file that is no database, and a database of something else, are refused", async () => {
  await using directory = await temporaryDirectory();
  const text = join(directory.path, "text.db");
  await writeFile(text, "not a database at all ".repeat(1000));
  await expect(openSqliteStore({ path: text })).rejects.toMatchObject({ code: "STORE_CORRUPT" });
  const other = join(directory.path, "other.db");
  const db = new DatabaseSync(other);
  db.exec("CREATE TABLE photos (id INTEGER)");
  db.close();
  await expect(openSqliteStore({ path: other })).rejects.toMatchObject({ code: "STORE_CORRUPT" });
});

test("a database of the first version is brought up to date, and what it had recorded still counts", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "gateway.db");
  const [first] = MIGRATIONS;
  const old = new DatabaseSync(path);
  old.exec(first?.sql ?? "");
  old.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1`);
  old.exec("INSERT INTO pairing_attempts VALUES ('a', 'w', '192.0.2.1', 5, 1), ('b', 'w', '192.0.2.1', 5, 0)");
  old.close();
  const store = await openSqliteStore({ path });
  // The first version did not say which attempts had proved themselves.
  expect(await store.pairing.countFailures({ secret: "pin", hourAgo: 0, dayAgo: 0 })).toEqual({ hour: 2, day: 2 });
  await store.pairing.recordProof("b");
  expect(await store.pairing.countFailures({ secret: "pin", hourAgo: 0, dayAgo: 0 })).toEqual({ hour: 1, day: 1 });
  await store.close();
});

test("a database of a newer version is refused as such", async () => {
  await using under = await temporaryStore();
  const path = join(under.directory, "gateway.db");
  await under.store.close();
  const db = new DatabaseSync(path);
  db.exec("PRAGMA user_version = 999; UPDATE integrity SET sum = 999 WHERE name = 'version'");
  db.close();
  await expect(openSqliteStore({ path })).rejects.toMatchObject({ code: "STORE_NEWER" });
});

test("a generation with a flipped bit is damage, and says what to do; one of before there were sums is read", async () => {
  await using under = await temporaryStore();
  const path = join(under.directory, "generation");
  await writeGeneration(path, 12);
  expect(await readGeneration(path)).toBe(12);
  const whole = await readFile(path);
  for (let at = 0; at < whole.length * 8; at++) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt8(bytes.readUInt8(at >> 3) ^ (1 << (at & 7)), at >> 3);
    await writeFile(path, bytes);
    await expect(readGeneration(path), `bit ${at}`).rejects.toMatchObject({
      code: "STORE_CORRUPT",
      message: expect.stringContaining("remove that file"),
    });
  }
  await writeFile(path, "12\n");
  expect(await readGeneration(path)).toBe(12);
});

test("an old copy put back, and a database gone while its state is not, are refused", async () => {
  await using under = await temporaryStore();
  const path = join(under.directory, "gateway.db");
  const generationPath = join(under.directory, "generation");
  await under.store.close();
  const copy = join(under.directory, "old.db");
  await copyFile(path, copy);
  await (await openSqliteStore({ path, generationPath })).close();
  await copyFile(copy, path);
  const refused = openSqliteStore({ path, generationPath });
  await expect(refused).rejects.toMatchObject({ code: "STORE_ROLLED_BACK", metadata: { stored: "1", seen: "2" } });
  const gone = join(under.directory, "elsewhere.db");
  await expect(openSqliteStore({ path: gone, generationPath })).rejects.toMatchObject({ code: "STORE_ROLLED_BACK" });
});

test("a directory that is not there is a failure that says so", async () => {
  await using directory = await temporaryDirectory();
  const opening = openSqliteStore({ path: join(directory.path, "missing", "gateway.db") });
  await expect(opening).rejects.toMatchObject({ code: "STORE_FAILED", message: expect.stringContaining("ENOENT") });
});

test("the store's files are its owner's alone", async () => {
  await using under = await temporaryStore();
  await under.store.meta.put("a", "b");
  for (const file of ["gateway.db", "gateway.db-wal", "gateway.db.lock"]) {
    expect((await stat(join(under.directory, file))).mode & 0o777).toBe(0o600);
  }
});

test("a closed store refuses, and what was asked before is done", async () => {
  await using under = await temporaryStore();
  const writes = Array.from({ length: 50 }, (_, index) => under.store.meta.put(`k${index}`, "v"));
  const closing = under.store.close();
  await Promise.all(writes);
  await closing;
  await expect(under.store.meta.put("late", "v")).rejects.toMatchObject({ code: "STORE_CLOSED" });
  await expect(under.store.meta.get("k1")).rejects.toMatchObject({ code: "STORE_CLOSED" });
  const again = await under.reopen();
  expect(await again.meta.get("k49")).toBe("v");
});

test("beyond the bound of waiting writes the store says so instead of growing", async () => {
  await using under = await temporaryStore({ maxQueuedWrites: 10 });
  const writes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) => under.store.meta.put(`k${index}`, "v")),
  );
  const refused = writes.filter((write) => write.status === "rejected");
  expect(refused).toHaveLength(10);
  expect(refused[0]?.reason).toMatchObject({ code: "STORE_OVERLOADED" });
  await under.store.meta.put("after", "v");
});
