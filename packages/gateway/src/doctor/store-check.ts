import { stat } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { ok, skipped, wrong, type Check, type CheckResult } from "@quaymesh/protocol";
import type { BehindInfo } from "../client/types.ts";
import { GATEWAY_ERRORS, GatewayError } from "../errors.ts";
import type { Behind } from "../store/port-lineage.ts";
import { checkMark } from "../store/sqlite/commit-mark.ts";
import type { Database } from "../store/sqlite/database.ts";
import { verifyEvents } from "../store/sqlite/events.ts";
import { readGeneration } from "../store/sqlite/generation.ts";
import { checkHeader } from "../store/sqlite/file-header.ts";
import { checkGuards } from "../store/sqlite/integrity.ts";
import { behind } from "../store/sqlite/lineage.ts";
import { checkOurs, LATEST_VERSION, openForReading } from "../store/sqlite/open.ts";
import type { GatewayDoctorContext } from "./context.ts";

/** Reading through more takes minutes, beside a gateway that has work to do. */
const MAX_READ_BYTES = 1 << 30;
/** Clocks that are kept agree by far better. */
const TOLERATED_MS = 60_000;
const EVENTS_AT_ONCE = 10_000;

/** The database is sound and no older than what was seen of it. Read beside a gateway that runs, too. */
export const storeCheck: Check<GatewayDoctorContext> = {
  name: "store",
  needs: ["state"],
  async run(context) {
    const { layout, running } = context;
    if (running !== undefined && running.stats.store.state !== "ok") {
      const seen = `the store is ${running.stats.store.state}`;
      return wrong("failed", seen, { code: "STORE_FULL", fix: GATEWAY_ERRORS.STORE_FULL.hint });
    }
    if (running?.status.behind !== undefined) return behindOf(running.status.behind);
    const found = await stat(layout.database).catch(() => undefined);
    if (found === undefined) return ok("there is none yet: the first start makes it");
    let db: Database | undefined;
    try {
      checkHeader(layout.database);
      db = openForReading(await quietly(layout.database));
      checkOurs(db);
      const read = found.size <= MAX_READ_BYTES;
      const fault = read ? damageOf(db) : undefined;
      if (fault !== undefined) return damaged(fault);
      const generation = Number(db.get("SELECT value FROM meta WHERE key = 'generation'")?.["value"] ?? 0);
      const seen = await readGeneration(layout.generation);
      if (generation < seen) return rolledBack(generation, seen);
      // In one transaction: a gateway that runs goes on writing.
      db.exec("BEGIN");
      const isCurrent = db.number("PRAGMA user_version") === LATEST_VERSION;
      if (isCurrent) checkGuards(db);
      // The mark of one that runs may be of a commit behind this moment, and its log it looks through itself.
      const isAtRest = isCurrent && running === undefined;
      const harmed = isAtRest ? harmOf(db, { path: layout.database, generation, read }) : undefined;
      if (harmed !== undefined) return harmed;
      const lost = behind(db);
      if (lost !== undefined) return behindOf(lostOf(lost));
      const newest = db.number("SELECT received FROM events ORDER BY position DESC LIMIT 1");
      if (newest > 0) context.newestEventAt = newest;
      const size = found.size < 1e6 ? `${Math.ceil(found.size / 1e3)} kB` : `${(found.size / 1e6).toFixed(1)} MB`;
      return ok(read ? `${size}, read through: sound` : `${size}: too large to be read through here`, {
        bytes: found.size,
      });
    } catch (cause) {
      if (!(cause instanceof GatewayError)) return damaged(cause instanceof Error ? cause.message : String(cause));
      return wrong("failed", cause.message, { code: cause.code, fix: GATEWAY_ERRORS[cause.code].hint });
    } finally {
      db?.close();
    }
  },
};

/** The clock has not gone back behind what was recorded by it. */
export const clockCheck: Check<GatewayDoctorContext> = {
  name: "clock",
  needs: ["store"],
  run({ newestEventAt, clock }) {
    if (newestEventAt === undefined)
      return skipped("no event to compare it with; nodes compare theirs:  quaymesh node doctor");
    const now = clock.now();
    const clocks = { clock: iso(now), newestEvent: iso(newestEventAt) };
    if (newestEventAt <= now + TOLERATED_MS) return ok(`${clocks.clock}, after the newest event`, clocks);
    const seen = `this clock says ${clocks.clock}, and the newest event came at ${clocks.newestEvent}`;
    const fix = "It went back: set it, and have it kept by NTP:  timedatectl set-ntp true";
    return wrong("failed", seen, { code: "CLOCK_SKEW", fix, details: clocks });
  },
};

/** Where no log stands beside the file nobody writes, and it can be read as it is: reading it otherwise would leave a log there, and another user's maybe. */
async function quietly(path: string): Promise<string> {
  const hasLog = await stat(`${path}-wal`).then(
    () => true,
    () => false,
  );
  return hasLog ? path : `${pathToFileURL(path).href}?immutable=1`;
}

function damageOf(db: Database): string | undefined {
  const first = Object.values(db.get("PRAGMA quick_check(1)") ?? {})[0];
  // It begins with a line that names the database.
  return first === "ok" ? undefined : String(first).split("\n").slice(-1).join();
}

const damaged = (what: string): CheckResult =>
  wrong("failed", `the database is damaged: ${what}`, {
    code: "STORE_CORRUPT",
    fix: GATEWAY_ERRORS.STORE_CORRUPT.hint,
  });

function rolledBack(generation: number, seen: number): CheckResult {
  const what = `the database is an older copy: generation ${generation}, and ${seen} was seen`;
  return wrong("failed", what, { code: "STORE_ROLLED_BACK", fix: GATEWAY_ERRORS.STORE_ROLLED_BACK.hint });
}

/** What only shows when the commits and the events are held against what was written. */
function harmOf(
  db: Database,
  { path, generation, read }: { readonly path: string; readonly generation: number; readonly read: boolean },
): CheckResult | undefined {
  checkMark(db, path, generation);
  if (!read) return undefined;
  for (let after = 0; ;) {
    const { through, damaged: offset, latest } = verifyEvents(db, { after, limit: EVENTS_AT_ONCE });
    if (offset !== undefined) {
      const details = { offset };
      const fix = GATEWAY_ERRORS.EVENT_DAMAGED.hint;
      return wrong("failed", `event ${offset} is not what was stored`, { code: "EVENT_DAMAGED", fix, details });
    }
    if (through >= latest) return undefined;
    after = through;
  }
}

/** Nodes have seen more of this mesh than is here. */
function behindOf(lost: Omit<BehindInfo, "at">): CheckResult {
  const { deviceId, offset, seenOffset, revocationEpoch, seenRevocationEpoch, revoked } = lost;
  const what = `it is older than what ${deviceId} has seen, so nobody is served: log offset ${offset} here and ${seenOffset} seen, revocation epoch ${revocationEpoch} here and ${seenRevocationEpoch} seen`;
  const details = { deviceId, offset, seenOffset, revocationEpoch, seenRevocationEpoch, revoked };
  return wrong("failed", what, { code: "STORE_BEHIND", fix: GATEWAY_ERRORS.STORE_BEHIND.hint, details });
}

/** As a running gateway tells it. */
function lostOf({ device, here, seen, revoked }: Behind): Omit<BehindInfo, "at"> {
  const at = { seenRevocationEpoch: seen.revocationEpoch, seenOffset: seen.offset };
  return { deviceId: device, ...here, ...at, revoked };
}

const iso = (at: number): string => new Date(at).toISOString();
