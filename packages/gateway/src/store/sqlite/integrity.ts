/**
 * What whom the gateway trusts depends on is guarded as a whole: for each table the number of its rows and the sum of their sums, kept up by triggers in the transaction of every change, and held
 * against the rows at each start. SQLite notices damage to its structure alone: a flipped bit within a cell, which may un-revoke a device or move a watermark, is found by this.
 *
 * The triggers are this connection's own, made for the columns the tables have: a step of the schema that adds a column needs no thought of them.
 */
import { GatewayError } from "../../errors.ts";
import { number, text } from "./columns.ts";
import type { Database } from "./database.ts";

/** Few rows or bounded ones, so that a start looks at all of them: devices and what belongs to each, where times are in the log (a row for 1024 events), not the log and not the tasks. */
const GUARDED = [
  "meta",
  "devices",
  "certificates",
  "receipts",
  "incarnations",
  "outboxes",
  "log",
  "log_marks",
  "subscriptions",
  "policies",
  "pairing_windows",
  "pairing_requests",
] as const;

/** Tables that an older schema had and did not guard. */
const GUARDED_SINCE: ReadonlyMap<string, number> = new Map([["log_marks", 13]]);

/** Whoever has flipped a bit here has changed what the rest of the file means. */
const SCHEMA = "schema";
/** The schema's number, which lies in the file's header: a flipped bit there looks like a newer version's, or has steps taken again. */
const VERSION = "version";

/** Sums are kept in 32 bits: SQLite's integers and ours both hold what is added to them. */
const MASK = 4_294_967_295;

/** A table's guard: what `integrity` holds, and what the rows come to. */
interface Guard {
  readonly rows: number;
  readonly sum: number;
}

/**
 * Hold the schema's number against what was written, before anything goes by it. Versions to come leave these columns as they are: else this one could not tell them from damage.
 * @throws {GatewayError} `STORE_CORRUPT`
 */
export function checkVersion(db: Database): void {
  if (!isGuarded(db)) return;
  const row = db.get("SELECT sum FROM integrity WHERE name = ?", VERSION);
  // Not there before versions that guard it.
  if (row !== undefined && number(row, "sum") !== db.number("PRAGMA user_version"))
    throw damaged("the schema's version");
}

/**
 * Hold every guarded table against its guard, and its indexes against the table: what is looked up by one of them must be found. Before the schema moves on: the columns are those that the last
 * change was made under.
 * @throws {GatewayError} `STORE_CORRUPT` naming the table
 */
export function checkGuards(db: Database): void {
  // Made by a version that did not guard: the first look is the beginning.
  if (!isGuarded(db)) return;
  const stored = new Map(
    db
      .all("SELECT name, rows, sum FROM integrity")
      .map((row): readonly [string, Guard] => [
        text(row, "name"),
        { rows: number(row, "rows"), sum: number(row, "sum") },
      ]),
  );
  const version = db.number("PRAGMA user_version");
  for (const [name, found] of guardsOf(db)) {
    if (version < (GUARDED_SINCE.get(name) ?? 0)) continue;
    const kept = stored.get(name);
    if (kept?.rows !== found.rows || kept.sum !== found.sum) throw damaged(name);
    // Its indexes are a second copy of what the sums do not cover.
    if (name !== SCHEMA && db.get(`PRAGMA integrity_check(${name})`)?.["integrity_check"] !== "ok") throw damaged(name);
  }
}

function damaged(name: string): GatewayError {
  return new GatewayError("STORE_CORRUPT", `the database is damaged: ${name} is not what was written`, {
    metadata: { table: name },
  });
}

/**
 * Guard the tables as they are now, and with every change from now on. In the caller's transaction. Whoever changes a database other than through `openForWriting` has to call {@link checkGuards}
 * before, and this first in the transaction of the change: else the next start takes the change for damage.
 */
export function keepGuards(db: Database): void {
  const version: Guard = { rows: 1, sum: db.number("PRAGMA user_version") };
  for (const [name, { rows, sum }] of [...guardsOf(db), [VERSION, version] as const]) {
    const sql =
      "INSERT INTO integrity VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET rows = ?2, sum = ?3 WHERE rows <> ?2 OR sum <> ?3";
    db.run(sql, name, rows, sum);
  }
  for (const table of GUARDED) db.exec(triggersOf(table, columnsOf(db, table)));
}

function isGuarded(db: Database): boolean {
  return db.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'integrity'") !== undefined;
}

/** Every guard as the rows are. Reading them all is also what makes SQLite look at the pages they are on. */
function guardsOf(db: Database): readonly (readonly [name: string, guard: Guard])[] {
  const tables = GUARDED.filter((table) => columnsOf(db, table).length > 0);
  return [
    [SCHEMA, guardOf(db, "sqlite_schema", ["type", "name", "tbl_name", "sql"])],
    ...tables.map((table): readonly [string, Guard] => [table, guardOf(db, table, columnsOf(db, table))]),
  ];
}

function guardOf(db: Database, table: string, columns: readonly string[]): Guard {
  const row = db.get(
    `SELECT count(*) AS rows, coalesce(sum(row_sum(${columns.join(", ")})), 0) & ${MASK} AS sum FROM ${table}`,
  );
  return row === undefined ? { rows: 0, sum: 0 } : { rows: number(row, "rows"), sum: number(row, "sum") };
}

function columnsOf(db: Database, table: string): readonly string[] {
  return db.all("SELECT name FROM pragma_table_info(?) ORDER BY cid", table).map((row) => text(row, "name"));
}

function triggersOf(table: string, columns: readonly string[]): string {
  const sumOf = (which: "NEW" | "OLD") => `row_sum(${columns.map((column) => `${which}.${column}`).join(", ")})`;
  const guard = (event: string, rows: number, change: string) =>
    `CREATE TEMP TRIGGER guard_${table}_${event} AFTER ${event} ON main.${table} BEGIN
       UPDATE integrity SET rows = rows + ${rows}, sum = (sum + ${change}) & ${MASK} WHERE name = '${table}';
     END;`;
  return [
    guard("insert", 1, sumOf("NEW")),
    guard("delete", -1, `-${sumOf("OLD")}`),
    guard("update", 0, `${sumOf("NEW")} - ${sumOf("OLD")}`),
  ].join("\n");
}
