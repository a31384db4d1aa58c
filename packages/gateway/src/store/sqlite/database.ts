import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { eventCost, eventSum, outboxSum } from "./event-sum.ts";
import { rowSum } from "./row-sum.ts";

/** A row as node:sqlite gives it, before it is parsed. */
export type RawRow = Readonly<Record<string, unknown>>;

/** A SQLite connection with its prepared statements: `sql` text is the key, so it must not carry values. */
export class Database {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #tuples = new Map<string, StatementSync>();

  constructor(path: string, options?: { readonly readOnly?: boolean; readonly busyTimeoutMs?: number }) {
    this.#db = new DatabaseSync(path, {
      readOnly: options?.readOnly ?? false,
      timeout: options?.busyTimeoutMs ?? 5000,
      enableForeignKeyConstraints: true,
    });
    defineFunctions(this.#db);
  }

  /** Whether a transaction is open; SQLite may have ended it by itself. */
  get inTransaction(): boolean {
    return this.#db.isTransaction;
  }

  /** Statements without values or rows. */
  exec(sql: string): void {
    this.#db.exec(sql);
  }

  /** @returns rows changed */
  run(sql: string, ...values: readonly SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  get(sql: string, ...values: readonly SQLInputValue[]): RawRow | undefined {
    return this.#prepare(sql).get(...values);
  }

  all(sql: string, ...values: readonly SQLInputValue[]): readonly RawRow[] {
    return this.#prepare(sql).all(...values);
  }

  /** Rows as they are stepped through: leaving early reads no further. */
  each(sql: string, ...values: readonly SQLInputValue[]): Iterable<RawRow> {
    return this.#prepare(sql).iterate(...values);
  }

  /** As {@link Database.all}, each row an array of its columns in their order: for what is read by the thousand, which stepping through would make dearer by a half. */
  allTuples(sql: string, ...values: readonly SQLInputValue[]): readonly (readonly unknown[])[] {
    return this.#prepareTuples(sql).all(...values) as readonly unknown[] as readonly (readonly unknown[])[];
  }

  /** One number out of one row, 0 where there is none or it is NULL. */
  number(sql: string, ...values: readonly SQLInputValue[]): number {
    const row = this.get(sql, ...values);
    const value = row === undefined ? undefined : Object.values(row)[0];
    return typeof value === "number" ? value : 0;
  }

  close(): void {
    this.#statements.clear();
    this.#tuples.clear();
    this.#db.close();
  }

  #prepareTuples(sql: string): StatementSync {
    let statement = this.#tuples.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      statement.setReturnArrays(true);
      this.#tuples.set(sql, statement);
    }
    return statement;
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** What the steps of the schema and the guards call. SQLite hands over what its columns hold, and those are STRICT. */
function defineFunctions(db: DatabaseSync): void {
  db.function("event_cost", { deterministic: true }, (bytes) => eventCost(Number(bytes)));
  db.function("row_sum", { deterministic: true, varargs: true }, (...values) => rowSum(values));
  db.function("event_sum", { deterministic: true, varargs: true }, (...values) => {
    const [device, epoch, offset, seq, kind, time, received, data] = values;
    if (!(epoch instanceof Uint8Array && data instanceof Uint8Array)) throw new TypeError("event_sum takes blobs");
    const event = { offset: Number(offset), seq: Number(seq), kind: String(kind), data };
    return eventSum(outboxSum(String(device), epoch), { ...event, time: Number(time), received: Number(received) });
  });
}
