import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openSqliteStore, type Store } from "@quaymesh/gateway";
import type { Answers, CallOutput, Role } from "../calls.ts";
import { Database } from "../../../../packages/gateway/src/store/sqlite/database.ts";
import { keepGuards } from "../../../../packages/gateway/src/store/sqlite/integrity.ts";
import { FLOOD_KIND, monotonicMs } from "../payload.ts";
import { makeStore } from "../store-with-device.ts";

/** As publishers send them. */
const BATCH = 100;
/** As a gateway lets one node have under way. */
const AT_ONCE = 16;
const DATA = randomBytes(200);

/** The store of a gateway without a gateway, and SQLite without a store. */
export async function serveStore({ directory }: Extract<Role, { kind: "store" }>) {
  const answers: Answers = {
    raw: async ({ ms }) => ({ rate: rawRate(join(directory, "raw.sqlite"), ms) }),
    grow: ({ ms, logEvents }) => grow(join(directory, "grown"), ms, logEvents),
  };
  return { answers, stop: async () => {} };
}

/** The rows that a gateway stores, in transactions of a batch, with what is then left to pay for: the rows, their index and the fsync. */
function rawRate(path: string, ms: number): number {
  const db = new DatabaseSync(path);
  try {
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      DROP TABLE IF EXISTS events;
      CREATE TABLE events (position INTEGER PRIMARY KEY, outbox INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL,
        time INTEGER NOT NULL, received INTEGER NOT NULL, sum INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
      CREATE UNIQUE INDEX events_seq ON events (outbox, seq);`);
    const insert = db.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    const now = Date.now();
    const began = monotonicMs();
    let row = 0;
    while (monotonicMs() - began < ms) {
      db.exec("BEGIN IMMEDIATE");
      for (const end = row + BATCH; row < end; row++) insert.run(row + 1, 1, row + 1, FLOOD_KIND, now, now, row, DATA);
      db.exec("COMMIT");
    }
    return row / ((monotonicMs() - began) / 1000);
  } finally {
    db.close();
  }
}

/** A log that is filled and one that is not, in turns: a disk that is busier for some seconds would else be taken for the longer log's fault. */
async function grow(directory: string, ms: number, logEvents: number): Promise<CallOutput<"grow">> {
  await rm(directory, { recursive: true, force: true });
  const [empty, full] = [await Grown.make(join(directory, "empty")), await Grown.make(join(directory, "full"))];
  // What is compiled on the way is not the empty log's fault.
  for (const log of [empty, full]) await log.append(ms / 2);
  full.fill(logEvents);
  for (const log of [empty, full]) log.forget();
  for (const log of [empty, full, full, empty, empty, full]) await log.append(ms / 2);
  return { empty: empty.figures, full: full.figures };
}

/** A store that is opened, appended to for some time, and closed. */
class Grown {
  readonly #made: Awaited<ReturnType<typeof makeStore>>;
  #next = 1;
  #events = 0;
  #seconds = 0;
  #cpuMicros = 0;

  private constructor(made: Awaited<ReturnType<typeof makeStore>>) {
    this.#made = made;
  }

  static async make(directory: string): Promise<Grown> {
    return new Grown(await makeStore(directory));
  }

  async append(ms: number): Promise<void> {
    const { path, deviceId, outboxEpoch } = this.#made;
    await using store = await openSqliteStore({ path });
    const before = process.cpuUsage();
    const { events, seconds } = await appendFor(store, { deviceId, outboxEpoch, first: this.#next, ms });
    const { user, system } = process.cpuUsage(before);
    this.#next += events;
    this.#events += events;
    this.#seconds += seconds;
    this.#cpuMicros += user + system;
  }

  fill(count: number): void {
    fill(this.#made.path, count);
    this.#next += count;
  }

  forget(): void {
    [this.#events, this.#seconds, this.#cpuMicros] = [0, 0, 0];
  }

  get figures(): CallOutput<"grow">["empty"] {
    return { rate: this.#events / this.#seconds, micros: this.#cpuMicros / this.#events };
  }
}

async function appendFor(
  store: Store,
  from: { readonly deviceId: string; readonly outboxEpoch: Uint8Array; readonly first: number; readonly ms: number },
): Promise<{ readonly events: number; readonly seconds: number }> {
  const { deviceId, outboxEpoch, ms } = from;
  const began = monotonicMs();
  let { first } = from;
  const lanes = Array.from({ length: AT_ONCE }, async () => {
    while (monotonicMs() - began < ms) {
      const now = Date.now();
      const events = Array.from({ length: BATCH }, () => ({ kind: FLOOD_KIND, time: now, data: DATA }));
      const mine = first;
      first += BATCH;
      await store.events.append({ deviceId, outboxEpoch, first: mine, events, now });
    }
  });
  await Promise.all(lanes);
  return { events: first - from.first, seconds: (monotonicMs() - began) / 1000 };
}

/** Events as if they had been appended, but for their sums: nobody reads them here. */
function fill(path: string, count: number): void {
  const db = new Database(path);
  try {
    db.exec("PRAGMA synchronous = OFF; BEGIN IMMEDIATE");
    // Else the store takes it for damage.
    keepGuards(db);
    db.exec(`INSERT INTO events (position, outbox, seq, kind, time, received, sum, data)
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${String(count)})
      SELECT (SELECT latest FROM log) + i, outbox, acked_seq + i, '${FLOOD_KIND}', 1796100000000 + i, 1796100000000 + i, 0, randomblob(200)
      FROM n, (SELECT outbox, acked_seq FROM outboxes ORDER BY acked_seq DESC LIMIT 1)`);
    db.exec(`UPDATE outboxes SET acked_seq = acked_seq + ${String(count)} WHERE acked_seq > 0`);
    db.exec(`UPDATE log SET latest = latest + ${String(count)}; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)`);
  } finally {
    db.close();
  }
  // Else the first commits that are timed wait for the disk to take all of this.
  const file = openSync(path, "r+");
  fsyncSync(file);
  closeSync(file);
}
