import { Database } from "../../packages/gateway/src/store/sqlite/database.ts";
import { fromPlain } from "../../packages/gateway/src/store/sqlite/errors.ts";
import { commitGroup, runRead } from "../../packages/gateway/src/store/sqlite/group-commit.ts";
import { MIGRATIONS } from "../../packages/gateway/src/store/sqlite/schema.ts";
import type { UnitInput, UnitName, UnitOutput } from "../../packages/gateway/src/store/sqlite/units.ts";
import type { Job, Reply } from "../../packages/gateway/src/store/sqlite/wire.ts";

/** One SQLite in memory for all simulations of this process: making one takes longer than emptying it. */
let shared: { readonly db: Database; readonly empty: string } | undefined;

function emptied(): Database {
  if (shared === undefined) {
    const db = new Database(":memory:");
    for (const { sql } of MIGRATIONS) db.exec(sql);
    const tables = db.all("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
    const names = tables.map((row) => String(row["name"])).filter((name) => name !== "log");
    db.exec("PRAGMA foreign_keys = OFF");
    const empty = names.map((name) => `DELETE FROM ${name};`).join("\n");
    shared = {
      db,
      empty: `BEGIN; ${empty} UPDATE log SET earliest = 1, latest = 0, high = 0, bytes = 0, held_bytes = 0; COMMIT`,
    };
  }
  shared.db.exec(shared.empty);
  return shared.db;
}

/**
 * The gateway's database: the real tables and the real units, in memory. One at a time per process: opening the next simulation's empties it. What was
 * committed outlives a crash of the gateway, unless the disk only said that it had synced.
 */
export class SimDatabase {
  readonly #db: Database;
  readonly #lying: boolean;
  /** What was committed, where the disk may forget some of it. */
  #groups: (readonly Job[])[] = [];
  #synced = 0;
  readonly #forgotten = new Map<string, number>();

  /** @param options.omitSync commits that a crash takes back */
  constructor(options: { readonly omitSync?: boolean } = {}) {
    this.#db = emptied();
    this.#lying = options.omitSync ?? false;
  }

  /** Commit `jobs` together. Never throws: every job has its reply. */
  commit(jobs: readonly Job[]): readonly Reply[] {
    if (this.#lying) this.#groups.push(jobs);
    return commitGroup(this.#db, jobs);
  }

  /** One read, in a transaction of its own. @throws {GatewayError} as the unit */
  read<N extends UnitName>(unit: N, input: UnitInput<N>): UnitOutput<N> {
    return replyOf(unit, runRead(this.#db, { id: 0, unit, input }));
  }

  /** One write, in a transaction of its own. @throws {GatewayError} as the unit */
  write<N extends UnitName>(unit: N, input: UnitInput<N>): UnitOutput<N> {
    const [reply] = this.commit([{ id: 0, unit, input }]);
    if (reply === undefined) throw new Error("a commit without a reply");
    return replyOf(unit, reply);
  }

  /** Change rows behind the units' back, for the controls. */
  tamper(sql: string): void {
    this.#db.exec(sql);
  }

  /** Sabotage: until the next call this device counts as not revoked, and every other as what it is. */
  forgetRevocations(deviceId: string): void {
    const db = this.#db;
    for (const [id, revokedAt] of this.#forgotten) {
      db.run("UPDATE devices SET revoked_at = ? WHERE device_id = ?", revokedAt, id);
    }
    this.#forgotten.clear();
    const row = db.get("SELECT revoked_at FROM devices WHERE device_id = ? AND revoked_at IS NOT NULL", deviceId);
    if (row === undefined) return;
    this.#forgotten.set(deviceId, Number(row["revoked_at"]));
    db.run("UPDATE devices SET revoked_at = NULL WHERE device_id = ?", deviceId);
  }

  /** What was written so far is on disk for good. */
  sync(): void {
    this.#synced = this.#groups.length;
  }

  /** The machine dies: of a disk that lied, the last `lost` commits are gone, but for those from before {@link SimDatabase.sync}. */
  crash(lost: number): void {
    if (!this.#lying) return;
    const kept = this.#groups.slice(0, Math.max(this.#synced, this.#groups.length - lost));
    emptied();
    this.#groups = [];
    for (const jobs of kept) this.commit(jobs);
  }
}

/** The reply's type follows from the unit's name. @throws {GatewayError} what the unit threw */
export function replyOf<N extends UnitName>(_unit: N, reply: Reply): UnitOutput<N> {
  if (!reply.ok) throw fromPlain(reply.error);
  return reply.value as UnitOutput<N>;
}
