import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { encodeValue } from "@quaymesh/protocol";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventRows } from "../../src/store/event-rows.ts";
import { withDatabase } from "../../src/backup/settle.ts";
import { GatewayError } from "../../src/errors.ts";
import { commitGroup } from "../../src/store/sqlite/group-commit.ts";
import { openForWriting } from "../../src/store/sqlite/open.ts";
import { READS, type UnitInput, type UnitName } from "../../src/store/sqlite/units.ts";
import {
  certificateOf,
  deviceIdOf,
  enrollInput,
  epochOf,
  sessionInput,
  T0,
} from "../../../../test/contract/store-fixtures.ts";

const DEVICES = ["A", "B", "C", "D", "E", "F"].map(deviceIdOf);
const EVENTS_EACH = 60;
const FILES = ["", "-wal", ".commits"] as const;

let directory: string;
/** Closed in good order, and as a killed gateway leaves it: the newest commits in the write-ahead log alone. */
let images: Record<"closed" | "killed", ReadonlyMap<string, Uint8Array>>;
let truth: readonly unknown[];

const fileOf = (path: string) => ({ path, seenGeneration: 1, maxBytes: 0 });

/** Fill a new database, and take pictures of its files. */
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "quaymesh-damage-"));
  const path = join(directory, "made.db");
  const open = openForWriting({ path, seenGeneration: 0, maxBytes: 0 });
  let id = 0;
  const write = <N extends UnitName>(unit: N, input: UnitInput<N>): void => {
    const [reply] = commitGroup(open.db, [{ id: id++, unit, input }], open.mark);
    if (reply?.ok !== true) throw new Error(JSON.stringify(reply));
  };
  for (const device of DEVICES) {
    write("devices.enroll", enrollInput(device));
    write("sessions.open", sessionInput(device));
    for (let first = 1; first <= EVENTS_EACH; first += 20) {
      const events = Array.from({ length: 20 }, (_, index) => ({
        kind: "test.tick",
        time: T0 + index,
        data: encodeValue(`${device} ${first + index} ${"x".repeat(index % 7 === 0 ? 6000 : 30)}`),
      }));
      write("events.append", { deviceId: device, outboxEpoch: epochOf(1), first, events, now: T0 });
    }
  }
  open.db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  write("devices.revoke", { deviceId: deviceIdOf("F"), receiptId: "r", reason: "sold", now: T0 });
  write("meta.put", { key: "mesh", value: "harbor" });
  const picture = () =>
    new Map(FILES.flatMap((end) => (existsSync(path + end) ? [[end, readFileSync(path + end)] as const] : [])));
  const killed = picture();
  truth = readAll(open.db);
  open[Symbol.dispose]();
  images = { killed, closed: picture() };
});

afterAll(() => rmSync(directory, { recursive: true }));

/** Everything that trust depends on, every watermark and every event; an event that is damaged in its place. */
function readAll(db: Parameters<(typeof READS)["devices.list"]>[0]): readonly unknown[] {
  const read = <N extends keyof typeof READS>(unit: N, input: UnitInput<N>): unknown =>
    (READS[unit] as (db: unknown, input: unknown) => unknown)(db, input);
  const events: unknown[] = [];
  const all = DEVICES.length * EVENTS_EACH;
  for (let after = 0; after < all; after += 1) {
    try {
      const page = READS["events.read"](db, { after, limit: 1, maxBytes: 1 << 20, filter: {} });
      events.push(eventRows(page)[0]);
    } catch (error) {
      if (!isDamage(error)) throw error;
      events.push("damaged");
    }
  }
  return [
    read("devices.trust", undefined),
    read("devices.list", undefined),
    read("meta.get", "mesh"),
    read("meta.get", "log-id"),
    ...DEVICES.flatMap((deviceId) => [
      read("devices.certificates", deviceId),
      read("devices.receipt", deviceId),
      read("events.watermark", { deviceId, outboxEpoch: epochOf(1) }),
    ]),
    ...events,
  ];
}

const isDamage = (error: unknown): boolean =>
  (error instanceof GatewayError &&
    ["STORE_CORRUPT", "EVENT_DAMAGED", "STORE_ROLLED_BACK", "STORE_NEWER"].includes(error.code)) ||
  // What SQLite itself finds, where it is asked directly.
  (error instanceof Error && "errcode" in error && [11, 26].includes(Number(error.errcode) & 0xff));

type Verdict = "refused" | "event refused" | "harmless";

/** Open a picture with something done to its files, and read everything. Anything but what was written, or a refusal, fails. */
function judge(image: ReadonlyMap<string, Uint8Array>, harm: (path: string) => void): Verdict {
  const path = join(directory, "judged.db");
  for (const end of [...FILES, "-shm", ".lock"]) rmSync(path + end, { force: true });
  for (const [end, content] of image) writeFileSync(path + end, content);
  harm(path);
  let open: ReturnType<typeof openForWriting>;
  try {
    open = openForWriting(fileOf(path));
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return "refused";
  }
  try {
    const found = readAll(open.db);
    expect(found).toHaveLength(truth.length);
    let damaged = false;
    for (const [index, value] of found.entries()) {
      if (value === "damaged") damaged = true;
      else expect(value).toEqual(truth[index]);
    }
    return damaged ? "event refused" : "harmless";
  } catch (error) {
    if (isDamage(error)) return "refused";
    throw error;
  } finally {
    open[Symbol.dispose]();
  }
}

/** Flip one bit of a file, as far into it as `at` says, of 1. */
function flip(path: string, at: number, bit: number): void {
  const bytes = readFileSync(path);
  const index = Math.floor(at * bytes.length);
  bytes[index] = (bytes[index] ?? 0) ^ (1 << bit);
  writeFileSync(path, bytes);
}

function codeOf(open: () => void): string {
  try {
    open();
    return "opens";
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return error.code;
  }
}

/** As a program that knows nothing of guards does. */
function tamper(path: string, sql: string): void {
  using db = new DatabaseSync(path);
  db.exec(sql);
}

const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("unharmed, both pictures open and read back whole", () => {
  expect(judge(images.closed, () => undefined)).toBe("harmless");
  expect(judge(images.killed, () => undefined)).toBe("harmless");
});

test("a bit that flips in a closed database is refused where it matters, and changes nothing that is read where it does not", () => {
  const seen = new Map<Verdict, number>();
  fc.assert(
    fc.property(place, fc.nat(7), (at, bit) => {
      const verdict = judge(images.closed, (path) => flip(path, at, bit));
      seen.set(verdict, (seen.get(verdict) ?? 0) + 1);
    }),
    { numRuns: 150 },
  );
  // Else this would say nothing.
  expect(seen.get("event refused") ?? 0).toBeGreaterThan(1);
  expect(seen.get("refused") ?? 0).toBeGreaterThan(1);
});

test("a bit that flips in what the header says of the file is damage, not another version's file nor one that cannot be written", () => {
  const path = join(directory, "header.db");
  // Journal, format of the schema, its version (one more, one less, below zero), whose file it is.
  const bits = [
    [18, 0],
    [18, 4],
    [19, 1],
    [47, 0],
    [60, 0],
    [60, 7],
    [63, 0],
    [63, 1],
    [68, 3],
  ] as const;
  for (const [byte, bit] of bits) {
    for (const end of [...FILES, "-shm"]) rmSync(path + end, { force: true });
    const whole = Buffer.from(images.closed.get("") ?? []);
    whole.writeUInt8(whole.readUInt8(byte) ^ (1 << bit), byte);
    writeFileSync(path, whole);
    const where = `byte ${byte}, bit ${bit}`;
    expect(
      codeOf(() => openForWriting(fileOf(path))[Symbol.dispose]()),
      where,
    ).toBe("STORE_CORRUPT");
    // As whoever accepts a loss does.
    expect(
      codeOf(() => withDatabase(path, () => undefined)),
      where,
    ).toBe("STORE_CORRUPT");
  }
});

test("a database from before its version was guarded opens", () => {
  const path = join(directory, "unguarded.db");
  writeFileSync(path, images.closed.get("") ?? "");
  tamper(path, "DELETE FROM integrity WHERE name = 'version'");
  openForWriting(fileOf(path))[Symbol.dispose]();
});

test("a bit that flips in the write-ahead log of a killed gateway is refused, or changes nothing that is read", () => {
  const seen = new Map<Verdict, number>();
  fc.assert(
    fc.property(place, fc.nat(7), (at, bit) => {
      const verdict = judge(images.killed, (path) => flip(`${path}-wal`, at, bit));
      seen.set(verdict, (seen.get(verdict) ?? 0) + 1);
    }),
    { numRuns: 80 },
  );
  expect(seen.get("refused") ?? 0).toBeGreaterThan(10);
});

test("a database or a write-ahead log that was cut off anywhere is refused", () => {
  fc.assert(
    fc.property(place, fc.constantFrom("closed" as const, "killed" as const), (at, which) => {
      const end = which === "closed" ? "" : "-wal";
      const size = images[which].get(end)?.length ?? 0;
      const verdict = judge(images[which], (path) => truncateSync(path + end, Math.floor(at * size)));
      expect(verdict).toBe("refused");
    }),
    { numRuns: 60 },
  );
});

test("commits that went with their write-ahead log are missed, and named", () => {
  const path = join(directory, "lost.db");
  for (const [end, content] of images.killed) writeFileSync(path + end, content);
  rmSync(`${path}-wal`);
  expect(() => openForWriting(fileOf(path))).toThrow("the last 2 commits are gone");
  // Whoever means to live without them takes the mark away too.
  rmSync(`${path}.commits`);
  openForWriting(fileOf(path))[Symbol.dispose]();
});

test("a key is refused wherever it is damaged: in its rows, and in the indexes by which it is looked up", () => {
  const spki = Buffer.from(certificateOf(deviceIdOf("B"), "serial").spkiSha256);
  const whole = Buffer.from(images.closed.get("") ?? []);
  const places: number[] = [];
  for (let at = whole.indexOf(spki); at >= 0; at = whole.indexOf(spki, at + 1)) places.push(at);
  // The rows of the device and of its certificate, and the index of each.
  expect(places.length).toBeGreaterThanOrEqual(4);
  for (const at of places) {
    const harm = (path: string) => {
      const bytes = readFileSync(path);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    };
    expect(judge(images.closed, harm), `byte ${at}`).toBe("refused");
  }
});

test("a row that another program changed is noticed, whatever table of trust it is in", () => {
  const statements = [
    "UPDATE devices SET revoked_at = NULL",
    "UPDATE certificates SET state = 'active' WHERE state = 'revoked'",
    "DELETE FROM receipts",
    "UPDATE outboxes SET acked_seq = acked_seq - 1 WHERE outbox = 2",
    "UPDATE meta SET value = '0' WHERE key = 'revocation-epoch'",
    "UPDATE log SET latest = latest - 1",
    "DROP INDEX events_seq",
    // Where a time is in the log: a reader that begins there would miss what it asked for.
    "INSERT INTO log_marks VALUES (300, 1, 1, 1)",
  ];
  for (const sql of statements) {
    const path = join(directory, "tampered.db");
    for (const end of [...FILES, "-shm"]) rmSync(path + end, { force: true });
    copyFileSync(join(directory, "made.db"), path);
    const open = openForWriting({ ...fileOf(path) });
    open[Symbol.dispose]();
    expect(() => tamper(path, sql)).not.toThrow();
    expect(() => openForWriting(fileOf(path)), sql).toThrow(/is not what was written/u);
  }
});
