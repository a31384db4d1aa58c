/** Units of sessions and outboxes; see SessionStore for what each promises. */
import { judgeJoin } from "@quaymesh/protocol/core";
import type { MeshKnowledge, OpenedSession, OpenSession } from "../port-events.ts";
import type { CapabilityRow } from "../rows.ts";
import { blob, number, optionalBlob, strings } from "./columns.ts";
import type { Database } from "./database.ts";
import { requireTrusted } from "./device-rows.ts";
import { currentCheckpoint, isOwn, settleSeen } from "./lineage.ts";
import { GatewayError } from "../../errors.ts";

/** Where a device's sequence stands in one outbox epoch. */
export interface Outbox {
  readonly outbox: number;
  readonly ackedSeq: number;
}

/** The outbox, made if it is new. */
export function registerOutbox(db: Database, deviceId: string, epoch: Uint8Array): Outbox {
  const found = findOutbox(db, deviceId, epoch);
  if (found !== undefined) return found;
  db.run("INSERT INTO outboxes (device_id, epoch, acked_seq) VALUES (?, ?, 0)", deviceId, epoch);
  const made = findOutbox(db, deviceId, epoch);
  if (made === undefined) throw new GatewayError("STORE_FAILED", "an outbox just made is not there");
  return made;
}

/** The outbox of a device under an epoch, if it was registered. */
export function findOutbox(db: Database, deviceId: string, epoch: Uint8Array): Outbox | undefined {
  const row = db.get("SELECT outbox, acked_seq FROM outboxes WHERE device_id = ? AND epoch = ?", deviceId, epoch);
  return row === undefined ? undefined : { outbox: number(row, "outbox"), ackedSeq: number(row, "acked_seq") };
}

/** The next session epoch of a trusted device, its outbox, and what it says of itself. */
export function openSession(db: Database, input: OpenSession): OpenedSession {
  requireTrusted(db, input.deviceId);
  // Before the join token is looked at: in a store that was put back every token is a stale one.
  const lost = settleSeen(db, input);
  if (lost !== undefined) {
    return { sessionEpoch: 0, ackedSeq: 0, labels: [], rotationDue: false, frozen: false, behind: lost };
  }
  if (!join(db, input)) return { sessionEpoch: 0, ackedSeq: 0, labels: [], rotationDue: false, frozen: true };
  const { outbox, ackedSeq } = registerOutbox(db, input.deviceId, input.outboxEpoch);
  const row = db.get(
    `UPDATE devices SET session_epoch = session_epoch + 1, outbox = ?, last_seen_at = ?, remote_address = ?, software = ?,
       platform = ?, capabilities = ?, root_version = coalesce(?, root_version), move_version = coalesce(?, move_version)
     WHERE device_id = ? RETURNING session_epoch, labels`,
    outbox,
    input.now,
    input.remoteAddress,
    input.software,
    input.platform,
    JSON.stringify(input.capabilities),
    input.mesh?.rootVersion ?? null,
    input.mesh?.moveVersion ?? null,
    input.deviceId,
  );
  if (row === undefined) throw new GatewayError("DEVICE_NOT_FOUND", `no device ${input.deviceId}`);
  const rotationDue = settleRotation(db, input);
  const checkpoint = currentCheckpoint(db);
  return {
    sessionEpoch: number(row, "session_epoch"),
    ackedSeq,
    labels: strings(row, "labels"),
    rotationDue,
    frozen: false,
    foreignCheckpoint: input.seen !== undefined && !isOwn(db, input.seen),
    ...(checkpoint !== undefined && { checkpoint }),
  };
}

/** Turn the join token, or freeze the device where a stale one is shown. @returns whether it may join */
function join(db: Database, { deviceId, join: hello, now }: OpenSession): boolean {
  if (hello === undefined) return true;
  const row = db.get("SELECT join_current, join_previous FROM devices WHERE device_id = ?", deviceId);
  const held =
    row === undefined || row["join_current"] === null
      ? undefined
      : { current: blob(row, "join_current"), previous: optionalBlob(row, "join_previous") };
  const verdict = judgeJoin(held, hello.shown, hello.fresh);
  if (verdict.kind === "stale") {
    db.run("UPDATE devices SET frozen_at = ? WHERE device_id = ?", now, deviceId);
    return false;
  }
  const { current, previous } = verdict.tokens;
  const sql = "UPDATE devices SET join_current = ?, join_previous = ? WHERE device_id = ?";
  db.run(sql, current, previous ?? null, deviceId);
  return true;
}

/** @returns whether a rotation is still to be made */
function settleRotation(db: Database, { deviceId, serial }: OpenSession): boolean {
  if (serial !== undefined) {
    db.run(
      `UPDATE devices SET rotation_requested_at = NULL WHERE device_id = ?1 AND rotation_requested_at <=
         (SELECT issued_at FROM certificates WHERE serial = ?2 AND device_id = ?1)`,
      deviceId,
      serial,
    );
  }
  return (
    db.get("SELECT 1 FROM devices WHERE device_id = ? AND rotation_requested_at IS NOT NULL", deviceId) !== undefined
  );
}

/** The session is over, if it is still the newest. */
export function closeSession(
  db: Database,
  input: { readonly deviceId: string; readonly sessionEpoch: number; readonly now: number },
): void {
  db.run(
    "UPDATE devices SET last_seen_at = ? WHERE device_id = ? AND session_epoch = ?",
    input.now,
    input.deviceId,
    input.sessionEpoch,
  );
}

/** What the device knows of its mesh. */
export function noteMesh(db: Database, input: MeshKnowledge & { readonly deviceId: string }): void {
  const { rootVersion, moveVersion, deviceId } = input;
  const sql = "UPDATE devices SET root_version = ?, move_version = ? WHERE device_id = ?";
  db.run(sql, rootVersion, moveVersion, deviceId);
}

/** What the device offers now. */
export function setCapabilities(
  db: Database,
  input: { readonly deviceId: string; readonly capabilities: readonly CapabilityRow[] },
): void {
  db.run("UPDATE devices SET capabilities = ? WHERE device_id = ?", JSON.stringify(input.capabilities), input.deviceId);
}
