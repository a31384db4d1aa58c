import { decodeChain } from "./chain.ts";
import { number, json, oneOf, optionalNumber, strings, text, blob } from "./columns.ts";
import type { Database, RawRow } from "./database.ts";
import { GatewayError } from "../../errors.ts";
import type { CapabilityRow, CertificateRow, DeviceRow, ReceiptRow } from "../rows.ts";

/** Everything of {@link DeviceRow}; to be completed with WHERE and ORDER BY. */
export const SELECT_DEVICE = `
SELECT d.*, coalesce(o.acked_seq, 0) AS last_seq,
  (SELECT max(c.not_after) FROM certificates c WHERE c.device_id = d.device_id AND c.state = 'active') AS certificate_not_after
FROM devices d LEFT JOIN outboxes o ON o.outbox = d.outbox`;

/** A row of {@link SELECT_DEVICE}. */
export function deviceRow(row: RawRow): DeviceRow {
  return {
    deviceId: text(row, "device_id"),
    name: text(row, "name"),
    labels: strings(row, "labels"),
    purpose: text(row, "purpose"),
    platform: text(row, "platform"),
    software: text(row, "software"),
    spkiSha256: text(row, "spki"),
    pairedAt: number(row, "paired_at"),
    lastSeenAt: optionalNumber(row, "last_seen_at"),
    remoteAddress: text(row, "remote_address"),
    capabilities: capabilities(row),
    sessionEpoch: number(row, "session_epoch"),
    revoked: optionalNumber(row, "revoked_at") !== undefined,
    lastSeq: number(row, "last_seq"),
    certificateNotAfter: optionalNumber(row, "certificate_not_after"),
    rotationRequestedAt: optionalNumber(row, "rotation_requested_at"),
    frozenAt: optionalNumber(row, "frozen_at"),
    rootVersion: number(row, "root_version"),
    moveVersion: number(row, "move_version"),
  };
}

/** The device, or undefined. */
export function findDevice(db: Database, deviceId: string): DeviceRow | undefined {
  const row = db.get(`${SELECT_DEVICE} WHERE d.device_id = ?`, deviceId);
  return row === undefined ? undefined : deviceRow(row);
}

/** @throws {GatewayError} `DEVICE_NOT_FOUND` */
export function requireDevice(db: Database, deviceId: string): DeviceRow {
  const device = findDevice(db, deviceId);
  if (device === undefined) throw new GatewayError("DEVICE_NOT_FOUND", `no device ${deviceId}`);
  return device;
}

/** @throws {GatewayError} `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `DEVICE_FROZEN` */
export function requireTrusted(db: Database, deviceId: string): void {
  const row = db.get("SELECT revoked_at, frozen_at FROM devices WHERE device_id = ?", deviceId);
  if (row === undefined) throw new GatewayError("DEVICE_NOT_FOUND", `no device ${deviceId}`);
  if (row["revoked_at"] !== null) throw new GatewayError("DEVICE_REVOKED", `device ${deviceId} is revoked`);
  if (row["frozen_at"] !== null) throw new GatewayError("DEVICE_FROZEN", `device ${deviceId} is frozen`);
}

/** A row of `certificates`. */
export function certificateRow(row: RawRow): CertificateRow {
  return {
    serial: text(row, "serial"),
    deviceId: text(row, "device_id"),
    spkiSha256: text(row, "spki"),
    notBefore: number(row, "not_before"),
    notAfter: number(row, "not_after"),
    issuedAt: number(row, "issued_at"),
    state: oneOf(row, "state", ["active", "retired", "revoked"]),
    chain: decodeChain(blob(row, "chain")),
  };
}

/** A row of `receipts`. */
export function receiptRow(row: RawRow): ReceiptRow {
  return {
    receiptId: text(row, "receipt_id"),
    deviceId: text(row, "device_id"),
    deviceName: text(row, "device_name"),
    revocationEpoch: number(row, "revocation_epoch"),
    sessionsClosed: number(row, "sessions_closed"),
    attemptsFenced: number(row, "attempts_fenced"),
    tasksRequeued: number(row, "tasks_requeued"),
    closedMs: number(row, "closed_ms"),
    lastSeq: number(row, "last_seq"),
    revokedAt: number(row, "revoked_at"),
    reason: text(row, "reason"),
    windowsClosed: strings(row, "windows_closed"),
  };
}

function capabilities(row: RawRow): readonly CapabilityRow[] {
  const value = json(row, "capabilities");
  if (!Array.isArray(value)) throw new GatewayError("STORE_CORRUPT", "capabilities are not a list");
  return value.map(capability);
}

function capability(value: unknown): CapabilityRow {
  if (typeof value === "object" && value !== null && "name" in value && typeof value.name === "string") {
    const slots = "concurrency" in value && typeof value.concurrency === "number" ? value.concurrency : undefined;
    return { name: value.name, concurrency: slots };
  }
  throw new GatewayError("STORE_CORRUPT", "a capability without a name");
}
