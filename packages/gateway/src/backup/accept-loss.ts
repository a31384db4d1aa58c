/** `quaymesh gateway restore accept-loss`: going on with a state that is older than what nodes have seen. */
import { ulid } from "ulid";
import { prepareState } from "../daemon/prepare-state.ts";
import { StateLock } from "../daemon/state-lock.ts";
import type { Behind } from "../store/port-lineage.ts";
import type { TaskRow } from "../store/rows.ts";
import type { Database } from "../store/sqlite/database.ts";
import { findDevice } from "../store/sqlite/device-rows.ts";
import { behind, beginEra } from "../store/sqlite/lineage.ts";
import { putMeta, REVOCATION_EPOCH, revocationEpoch } from "../store/sqlite/meta.ts";
import { revokeDevice } from "../store/sqlite/revocation.ts";
import { saveTask, taskRow } from "../store/sqlite/task-rows.ts";
import { endRow } from "../tasks/ledger.ts";
import { settleRestored, withDatabase } from "./settle.ts";

/** What {@link acceptLoss} did. */
export interface AcceptedLoss {
  readonly era: number;
  readonly revocationEpoch: number;
  /** Devices revoked again, by name. */
  readonly revokedAgain: readonly string[];
  /** Revocations that are lost and of which nobody knows whom they were of. */
  readonly unknownRevocations: number;
  /** Tasks that must not run twice, and may have run: ended as failed. */
  readonly tasksEnded: readonly string[];
}

const MAY_HAVE_RUN = {
  code: "GATEWAY_RESTORED",
  message: "the gateway was put back to an earlier state: nobody knows whether this ran since",
} as const;

/** What nodes have shown that this state lacks. The gateway must not run. @throws {GatewayError} `GATEWAY_ALREADY_RUNNING`, `STATE_*`, `STORE_*` */
export async function knownLoss(directory: string): Promise<Behind | undefined> {
  const layout = await prepareState(directory, { parents: false });
  await using _lock = await StateLock.acquire(layout);
  return withDatabase(layout.database, behind);
}

/**
 * Begin a new era: what nodes have seen of the one before is no longer missed.
 * @throws {GatewayError} `GATEWAY_ALREADY_RUNNING`, `STATE_*`, `STORE_*`
 */
export async function acceptLoss(directory: string, options: { readonly now: number }): Promise<AcceptedLoss> {
  const layout = await prepareState(directory, { parents: false });
  await using _lock = await StateLock.acquire(layout);
  return withDatabase(layout.database, (db) => accept(db, options.now));
}

function accept(db: Database, now: number): AcceptedLoss {
  const loss = behind(db);
  const lost = Math.max(0, (loss?.seen.revocationEpoch ?? 0) - revocationEpoch(db));
  settleRestored(db, now);
  // Past all that nodes have seen, also where nobody can be named: no epoch ever means two things.
  putMeta(db, {
    key: REVOCATION_EPOCH,
    value: String(Math.max(revocationEpoch(db), loss?.seen.revocationEpoch ?? 0) + 1),
  });
  const named = loss?.revoked ?? [];
  const revokedAgain = named.flatMap((deviceId) => revokeAgain(db, deviceId, now));
  const tasksEnded = db
    .all("SELECT * FROM tasks WHERE active = 1 AND idempotent = 0")
    .map(taskRow)
    .map((task) => endUnfinished(db, task, now));
  return {
    era: beginEra(db),
    revocationEpoch: revocationEpoch(db),
    revokedAgain,
    unknownRevocations: Math.max(0, lost - named.length),
    tasksEnded,
  };
}

/** @returns its name; nothing where this state does not know it, and so admits it anyway no more, or has it revoked */
function revokeAgain(db: Database, deviceId: string, now: number): readonly string[] {
  const device = findDevice(db, deviceId);
  if (device === undefined || device.revoked) return [];
  revokeDevice(db, { deviceId, receiptId: ulid(now), reason: "revoked before the gateway was put back", now });
  return [device.name === "" ? deviceId : device.name];
}

function endUnfinished(db: Database, task: TaskRow, now: number): string {
  saveTask(db, endRow(task, "failed", now, MAY_HAVE_RUN));
  db.run("DELETE FROM task_inputs WHERE task_id = ?", task.taskId);
  return task.taskId;
}
