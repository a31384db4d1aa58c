/** Units of devices and certificates; see DeviceStore for what each promises. */
import type { DeviceTrust, EnrolledCertificate, TrustSnapshot } from "@quaymesh/identity";
import { GatewayError } from "../../errors.ts";
import type { DeviceSelector, EnrollInput, EnrollResult } from "../port-devices.ts";
import type { CertificateRow, DeviceRow, ReceiptRow } from "../rows.ts";
import { encodeChain } from "./chain.ts";
import { text } from "./columns.ts";
import type { Database } from "./database.ts";
import {
  certificateRow,
  deviceRow,
  findDevice,
  receiptRow,
  requireDevice,
  requireTrusted,
  SELECT_DEVICE,
} from "./device-rows.ts";
import { getMeta, RESTORED_AT, revocationEpoch } from "./meta.ts";
import { moveRequest, takePlace } from "./pairing.ts";

/** Every device, by name. */
export function listDevices(db: Database): readonly DeviceRow[] {
  return db.all(`${SELECT_DEVICE} ORDER BY d.name, d.device_id`).map(deviceRow);
}

/** How many devices there are. */
export function countDevices(db: Database): number {
  return db.number("SELECT count(*) FROM devices");
}

/** Devices by id, prefix of an id, or name; at most 10. */
export function findDevices(db: Database, wanted: string): readonly DeviceRow[] {
  if (wanted === "") return [];
  // A range instead of LIKE: ids are upper case, and a prefix must use the primary key.
  const prefix = wanted.toUpperCase();
  const rows = db.all(
    `${SELECT_DEVICE} WHERE d.name = ?1 OR (d.device_id >= ?2 AND d.device_id < ?3) ORDER BY d.device_id LIMIT 10`,
    wanted,
    prefix,
    `${prefix}~`,
  );
  return rows.map(deviceRow);
}

/** SQL that holds for the devices `d` of a selector, and its argument. */
function conditionOf(selector: DeviceSelector): { readonly sql: string; readonly argument: string | number } {
  switch (selector.kind) {
    case "label":
      return { sql: "EXISTS (SELECT 1 FROM json_each(d.labels) l WHERE l.value = ?)", argument: selector.label };
    case "issued-before":
      return {
        sql: "(SELECT max(c.issued_at) FROM certificates c WHERE c.device_id = d.device_id AND c.state = 'active') < ?",
        argument: selector.before,
      };
    default:
      return selector satisfies never;
  }
}

/** Devices of a selector that are not revoked, by name. */
export function selectDevices(db: Database, selector: DeviceSelector): readonly DeviceRow[] {
  const { sql, argument } = conditionOf(selector);
  const query = `${SELECT_DEVICE} WHERE d.revoked_at IS NULL AND ${sql} ORDER BY d.name, d.device_id`;
  return db.all(query, argument).map(deviceRow);
}

/** Whether a device is among those of a selector. */
export function isSelected(db: Database, deviceId: string, selector: DeviceSelector): boolean {
  const { sql, argument } = conditionOf(selector);
  return db.get(`SELECT 1 FROM devices d WHERE d.device_id = ? AND ${sql}`, deviceId, argument) !== undefined;
}

/** The device with this key; also a revoked one that had it before it got another: what was revoked stays out whichever of its keys it shows. */
export function findDeviceByKey(db: Database, spkiSha256: string): DeviceRow | undefined {
  const had = `SELECT c.device_id FROM certificates c WHERE c.spki = ?`;
  const row =
    db.get(`${SELECT_DEVICE} WHERE d.spki = ?`, spkiSha256) ??
    db.get(`${SELECT_DEVICE} WHERE d.revoked_at IS NOT NULL AND d.device_id IN (${had}) LIMIT 1`, spkiSha256);
  return row === undefined ? undefined : deviceRow(row);
}

/** What the trust index is loaded from, as one state. */
export function trustSnapshot(db: Database): TrustSnapshot {
  const devices = new Map<string, EnrolledCertificate[] | "revoked">();
  const frozen = new Set<string>();
  for (const row of db.all("SELECT device_id, revoked_at, frozen_at FROM devices")) {
    devices.set(text(row, "device_id"), row["revoked_at"] === null ? [] : "revoked");
    if (row["frozen_at"] !== null) frozen.add(text(row, "device_id"));
  }
  const active = "SELECT device_id, serial, spki FROM certificates WHERE state = 'active' ORDER BY issued_at, serial";
  for (const row of db.all(active)) {
    const certificates = devices.get(text(row, "device_id"));
    // The revoked have no active certificate; should one be found, the revocation wins.
    if (certificates === undefined || certificates === "revoked") continue;
    certificates.push({ serial: text(row, "serial"), spkiSha256: Buffer.from(text(row, "spki"), "hex") });
  }
  const restoredAt = getMeta(db, RESTORED_AT);
  return {
    revocationEpoch: revocationEpoch(db),
    ...(restoredAt !== undefined && { adoptBefore: Number(restoredAt) }),
    devices: [...devices].map(([deviceId, certificates]): DeviceTrust =>
      certificates === "revoked"
        ? { kind: "revoked", deviceId }
        : { kind: "enrolled", deviceId, certificates, frozen: frozen.has(deviceId) },
    ),
  };
}

/** Every certificate of a device, in the order of issue. */
export function deviceCertificates(db: Database, deviceId: string): readonly CertificateRow[] {
  return db
    .all("SELECT * FROM certificates WHERE device_id = ? ORDER BY issued_at, serial", deviceId)
    .map(certificateRow);
}

/** The receipt of a device's revocation. */
export function latestReceipt(db: Database, deviceId: string): ReceiptRow | undefined {
  const row = db.get("SELECT * FROM receipts WHERE device_id = ? ORDER BY revocation_epoch DESC LIMIT 1", deviceId);
  return row === undefined ? undefined : receiptRow(row);
}

/** Create or re-pair a device, with its certificate and its request. */
export function enroll(db: Database, input: EnrollInput): EnrollResult {
  const known = db.get("SELECT device_id FROM certificates WHERE serial = ?", input.certificate.serial);
  if (known !== undefined && text(known, "device_id") === input.deviceId) {
    return { kind: "repeated", device: requireDevice(db, input.deviceId), retired: [] };
  }
  const holder = findDeviceByKey(db, input.certificate.spkiSha256);
  if (holder?.revoked === true)
    throw new GatewayError("DEVICE_REVOKED", `the key is that of ${holder.deviceId}, which is revoked`);
  if (holder !== undefined && holder.deviceId !== input.deviceId) {
    throw new GatewayError("DEVICE_KEY_KNOWN", `the key belongs to device ${holder.deviceId}`, {
      metadata: { deviceId: holder.deviceId },
    });
  }
  const before = findDevice(db, input.deviceId);
  if (before?.revoked === true) throw new GatewayError("DEVICE_REVOKED", `device ${input.deviceId} is revoked`);
  if (input.unasked === true && before?.frozenAt !== undefined)
    throw new GatewayError("DEVICE_FROZEN", `device ${input.deviceId} is frozen, and nobody was asked`);
  const retired = before === undefined ? [] : retireAll(db, input.deviceId);
  const isBack = before?.spkiSha256 === input.certificate.spkiSha256 && cameThrough(db, input);
  writeDevice(db, input, before !== undefined);
  insertCertificate(db, input.certificate);
  settleRequest(db, input, isBack);
  return {
    kind: before === undefined ? "created" : "repaired",
    device: requireDevice(db, input.deviceId),
    retired,
  };
}

/** A renewed certificate of a trusted device. */
export function addCertificate(db: Database, certificate: CertificateRow): void {
  requireTrusted(db, certificate.deviceId);
  insertCertificate(db, certificate);
}

/** Note that another certificate is wanted. */
export function requestRotation(db: Database, input: { readonly deviceId: string; readonly now: number }): DeviceRow {
  requireTrusted(db, input.deviceId);
  db.run("UPDATE devices SET rotation_requested_at = ? WHERE device_id = ?", input.now, input.deviceId);
  return requireDevice(db, input.deviceId);
}

/** Let a frozen device come back; whatever it shows first is taken. */
export function unfreeze(db: Database, input: { readonly deviceId: string }): DeviceRow {
  const device = requireDevice(db, input.deviceId);
  if (device.revoked) throw new GatewayError("DEVICE_REVOKED", `device ${input.deviceId} is revoked`);
  if (device.frozenAt === undefined)
    throw new GatewayError("DEVICE_NOT_FROZEN", `device ${input.deviceId} is not frozen`);
  const sql = "UPDATE devices SET frozen_at = NULL, join_current = NULL, join_previous = NULL WHERE device_id = ?";
  db.run(sql, input.deviceId);
  return requireDevice(db, input.deviceId);
}

/** Certificates that a newer one has replaced. */
export function retireCertificates(
  db: Database,
  input: { readonly deviceId: string; readonly serials: readonly string[] },
): void {
  for (const serial of input.serials) {
    db.run(
      "UPDATE certificates SET state = 'retired' WHERE serial = ? AND device_id = ? AND state = 'active'",
      serial,
      input.deviceId,
    );
  }
}

function retireAll(db: Database, deviceId: string): readonly string[] {
  const rows = db.all("SELECT serial FROM certificates WHERE device_id = ? AND state = 'active'", deviceId);
  db.run("UPDATE certificates SET state = 'retired' WHERE device_id = ? AND state = 'active'", deviceId);
  return rows.map((row) => text(row, "serial"));
}

function writeDevice(db: Database, input: EnrollInput, exists: boolean): void {
  const values = [
    input.name,
    JSON.stringify(input.labels),
    input.purpose,
    input.platform,
    input.certificate.spkiSha256,
    input.now,
    input.deviceId,
  ];
  const sql = exists
    ? "UPDATE devices SET name = ?, labels = ?, purpose = ?, platform = ?, spki = ?, paired_at = ?, frozen_at = NULL, join_current = NULL, join_previous = NULL WHERE device_id = ?"
    : "INSERT INTO devices (name, labels, purpose, platform, spki, paired_at, device_id) VALUES (?, ?, ?, ?, ?, ?, ?)";
  db.run(sql, ...values);
}

function insertCertificate(db: Database, certificate: CertificateRow): void {
  db.run(
    "INSERT INTO certificates VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    certificate.serial,
    certificate.deviceId,
    certificate.spkiSha256,
    certificate.notBefore,
    certificate.notAfter,
    certificate.issuedAt,
    certificate.state,
    encodeChain(certificate.chain),
  );
}

/** Whether a device has a place of this window that it has made nothing of yet: the answer was lost, and it comes for it again. */
function cameThrough(db: Database, { windowId, deviceId }: EnrollInput): boolean {
  const sql = "SELECT 1 FROM pairing_requests WHERE state = 'issued' AND window_id = ? AND device_id = ?";
  return windowId !== undefined && db.get(sql, windowId, deviceId) !== undefined;
}

function settleRequest(db: Database, input: EnrollInput, isBack: boolean): void {
  const { request, windowId } = input;
  if (windowId !== undefined && !isBack && !takePlace(db, windowId)) {
    throw new GatewayError("WINDOW_USED_UP", `pairing window ${windowId} has let in as many devices as it may`);
  }
  if (request === undefined) return;
  const moved = moveRequest(db, {
    requestId: request.requestId,
    from: [request.from],
    to: request.to,
    body: request.body,
    deviceId: input.deviceId,
    now: input.now,
  });
  if (moved === undefined) {
    throw new GatewayError("REQUEST_NOT_PENDING", `pairing request ${request.requestId} is no longer ${request.from}`);
  }
}
