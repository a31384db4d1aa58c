/** What a gateway's doctor finds in its store and its log. */
import { readFile, truncate, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { deviceIdOf, enrollInput, epochOf, eventsOf, sessionInput } from "../../../../test/contract/store-fixtures.ts";
import { logCheck } from "../../src/doctor/log-check.ts";
import { storeCheck } from "../../src/doctor/store-check.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { ask, contextOf, DAY, running, stateDirectory } from "./support.ts";

test("a gateway whose database is cut short is damaged, and one put back is an older copy", async () => {
  await using state = await stateDirectory();
  await writeFile(state.layout.generation, "99\n");
  expect(await ask(storeCheck, contextOf({ state: state.path }))).toMatchObject({ code: "STORE_ROLLED_BACK" });
  await truncate(state.layout.database, 6000);
  expect(await ask(storeCheck, contextOf({ state: state.path }))).toMatchObject({
    verdict: "failed",
    code: "STORE_CORRUPT",
  });
});

test("a gateway whose database holds what nobody wrote is damaged, though it reads through", async () => {
  await using state = await stateDirectory();
  const { database, generation } = state.layout;
  {
    await using store = await openSqliteStore({ path: database, generationPath: generation });
    await store.devices.enroll(enrollInput(deviceIdOf("A")));
    await store.sessions.open(sessionInput(deviceIdOf("A")));
    const input = { deviceId: deviceIdOf("A"), outboxEpoch: epochOf(1), first: 1, events: eventsOf(1, 3), now: 1 };
    await store.events.append(input);
  }
  const tamper = (sql: string): void => {
    using db = new DatabaseSync(database);
    db.exec(sql);
  };
  const context = contextOf({ state: state.path });
  expect(await ask(storeCheck, context)).toMatchObject({ verdict: "ok" });
  tamper("UPDATE events SET time = time + 1 WHERE position = 2");
  expect(await ask(storeCheck, context)).toMatchObject({
    verdict: "failed",
    code: "EVENT_DAMAGED",
    details: { offset: 2 },
  });
  tamper("UPDATE commits SET count = count - 1");
  expect(await ask(storeCheck, context)).toMatchObject({ verdict: "failed", code: "STORE_ROLLED_BACK" });
  tamper("UPDATE devices SET frozen_at = 1");
  expect(await ask(storeCheck, context)).toMatchObject({ verdict: "failed", code: "STORE_CORRUPT" });
});

test("what SQLite finds wrong is said in one line", async () => {
  await using state = await stateDirectory();
  const { database } = state.layout;
  const bytes = await readFile(database);
  // How many pages are free, in its header.
  bytes.writeUInt32BE(9, 36);
  await writeFile(database, bytes);
  expect(await ask(storeCheck, contextOf({ state: state.path }))).toMatchObject({
    code: "STORE_CORRUPT",
    seen: expect.stringMatching(/^the database is damaged: Freelist: [^\n]+$/u),
  });
});

test.each([
  ["may be written", 18, 0],
  ["is of this schema's version", 63, 0],
  ["is a gateway's", 68, 3],
])("whether a database %s is asked of its header as a start asks it", async (_, byte, bit) => {
  await using state = await stateDirectory();
  const { database } = state.layout;
  const bytes = await readFile(database);
  bytes.writeUInt8(bytes.readUInt8(byte) ^ (1 << bit), byte);
  await writeFile(database, bytes);
  expect(await ask(storeCheck, contextOf({ state: state.path }))).toMatchObject({
    verdict: "failed",
    code: "STORE_CORRUPT",
    fix: expect.stringContaining("restore the state directory from a backup"),
  });
});

test("a gateway whose nodes have seen more than it has says who, how much more, and what to do", async () => {
  await using state = await stateDirectory();
  const at = { revocationEpoch: 4, offset: 70 };
  const lost = {
    device: "01JD",
    at: 1,
    here: at,
    seen: { era: 0, revocationEpoch: 6, offset: 90 },
    revoked: ["01JX"],
  };
  {
    await using store = await openSqliteStore({
      path: state.layout.database,
      generationPath: state.layout.generation,
    });
    await store.meta.put("behind", JSON.stringify(lost));
  }
  const found = await ask(storeCheck, contextOf({ state: state.path }));
  expect(found).toMatchObject({
    verdict: "failed",
    code: "STORE_BEHIND",
    seen: expect.stringContaining("log offset 70 here and 90 seen, revocation epoch 4 here and 6 seen"),
    fix: expect.stringContaining("accept-loss"),
    details: { deviceId: "01JD", revoked: ["01JX"] },
  });
  // A running one says it itself.
  const told = { deviceId: "01JD", ...at, seenRevocationEpoch: 6, seenOffset: 90, revoked: ["01JX"], at: 1 };
  const status = { ...running({}).status, behind: told };
  expect(await ask(storeCheck, contextOf({ running: { ...running({}), status } }))).toEqual(found);
});

test.each([
  [
    { damaged: 2, lapsed: 1 },
    { verdict: "failed", code: "EVENT_DAMAGED" },
  ],
  [
    { lapsed: 3 },
    { verdict: "warning", code: "SUBSCRIPTION_LAPSED", fix: expect.stringContaining("events subscriptions") },
  ],
  [
    { clockBehindMs: 400 * DAY },
    { verdict: "warning", code: "CLOCK_SKEW", fix: expect.stringContaining("--trust-clock") },
  ],
  // Without a bound on age nobody waits for that clock.
  [{ clockBehindMs: 400 * DAY, maxAgeMs: 0 }, { verdict: "ok" }],
  [
    { heldBy: ["operator/export"] },
    { verdict: "ok", seen: expect.stringContaining("1 durable subscriptions hold it") },
  ],
])("a log of which the gateway says %j is told of", async (log, finding) => {
  expect(await ask(logCheck, contextOf({ running: running({ log }) }))).toMatchObject(finding);
});
