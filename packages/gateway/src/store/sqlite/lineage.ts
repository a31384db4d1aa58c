/**
 * Whether this database is the newest of its line. Each opening is an incarnation, which remembers where it began; a checkpoint says of which incarnation it is and how far that had come. So one that a node shows
 * is known here, or this database was put back to a time before it: docs/wire.md, "Checkpoints".
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Checkpoint } from "@quaymesh/protocol";
import { encodeValue, MAX_CHECKPOINT_REVOCATIONS } from "@quaymesh/protocol/core";
import type { Behind } from "../port-lineage.ts";
import { blob, number, text } from "./columns.ts";
import type { Database } from "./database.ts";
import { getMeta, putMeta, revocationEpoch } from "./meta.ts";

const ERA = "era";
const KEY = "checkpoint-key";
const BEHIND = "behind";

/** What a hello showed, judged. */
type SeenVerdict =
  | { readonly kind: "fits" }
  /** Not made by this mesh's gateway: a device cannot make one, so it says nothing. */
  | { readonly kind: "foreign" }
  | { readonly kind: "behind"; readonly lost: number };

/** The store was opened: an incarnation begins. In the transaction that counts the generation up. */
export function beginIncarnation(db: Database, generation: number): void {
  db.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", KEY, randomBytes(32).toString("hex"));
  const { revocationEpoch: epoch, offset } = position(db);
  db.run("INSERT INTO incarnations VALUES (?, ?, ?, ?)", generation, randomBytes(16), epoch, offset);
}

/** Where the store is now, as nodes are told; undefined where it was not opened as a gateway's. */
export function currentCheckpoint(db: Database): Checkpoint | undefined {
  const row = db.get("SELECT generation, id FROM incarnations ORDER BY generation DESC LIMIT 1");
  if (row === undefined) return undefined;
  const facts = {
    era: era(db),
    generation: number(row, "generation"),
    incarnation: blob(row, "id"),
    ...position(db),
    revoked: lastRevoked(db, MAX_CHECKPOINT_REVOCATIONS),
  };
  return { ...facts, mac: macOf(db, facts) };
}

/** Whether this line of databases has made a checkpoint. */
export function isOwn(db: Database, seen: Checkpoint): boolean {
  return timingSafeEqual(macOf(db, seen), seen.mac);
}

/** Judge what a hello shows against what this store knows of itself. */
function judgeSeen(db: Database, seen: Checkpoint): SeenVerdict {
  if (!isOwn(db, seen)) return { kind: "foreign" };
  const here = era(db);
  if (seen.era < here) return { kind: "fits" };
  const row = db.get("SELECT id FROM incarnations WHERE generation = ?", seen.generation);
  const known = row !== undefined && Buffer.compare(blob(row, "id"), seen.incarnation) === 0;
  const end = known ? endOf(db, seen.generation) : position(db);
  const lost = Math.max(0, seen.revocationEpoch - end.revocationEpoch);
  const isBehind = seen.era > here || !known || lost > 0 || seen.offset > end.offset;
  return isBehind ? { kind: "behind", lost } : { kind: "fits" };
}

/**
 * Note what a node has shown, and say whether sessions may be opened.
 * @returns what is known of the loss, where this store is behind
 */
export function settleSeen(
  db: Database,
  input: { readonly deviceId: string; readonly seen?: Checkpoint | undefined; readonly now: number },
): Behind | undefined {
  const { seen, deviceId, now } = input;
  const known = behind(db);
  const verdict = seen === undefined ? undefined : judgeSeen(db, seen);
  if (seen === undefined || verdict?.kind !== "behind") return known;
  const here = position(db);
  const revoked = seen.revoked.slice(0, verdict.lost);
  const next: Behind = {
    device: known?.device ?? deviceId,
    at: known?.at ?? now,
    here: known?.here ?? here,
    seen: {
      era: Math.max(seen.era, known?.seen.era ?? 0),
      revocationEpoch: Math.max(seen.revocationEpoch, known?.seen.revocationEpoch ?? 0),
      offset: Math.max(seen.offset, known?.seen.offset ?? 0),
    },
    revoked: [...new Set([...(known?.revoked ?? []), ...revoked])],
  };
  if (JSON.stringify(next) !== JSON.stringify(known)) putMeta(db, { key: BEHIND, value: JSON.stringify(next) });
  return next;
}

/** What nodes have shown that this store lacks; undefined where nothing is. */
export function behind(db: Database): Behind | undefined {
  const value = getMeta(db, BEHIND);
  // Written by settleSeen alone.
  return value === undefined ? undefined : (JSON.parse(value) as Behind);
}

/** The loss is accepted: a new era begins, in which nothing of those before is missed. @returns the era */
export function beginEra(db: Database): number {
  const next = Math.max(era(db), behind(db)?.seen.era ?? 0) + 1;
  putMeta(db, { key: ERA, value: String(next) });
  db.run("DELETE FROM meta WHERE key = ?", BEHIND);
  return next;
}

/** How far the store has come. */
function position(db: Database): { readonly revocationEpoch: number; readonly offset: number } {
  return { revocationEpoch: revocationEpoch(db), offset: db.number("SELECT latest FROM log WHERE id = 1") };
}

/** Where an incarnation ended: where the next began. */
function endOf(db: Database, generation: number): { readonly revocationEpoch: number; readonly offset: number } {
  const sql = `SELECT revocation_epoch, log_offset FROM incarnations WHERE generation > ? ORDER BY generation LIMIT 1`;
  const next = db.get(sql, generation);
  if (next === undefined) return position(db);
  return { revocationEpoch: number(next, "revocation_epoch"), offset: number(next, "log_offset") };
}

function era(db: Database): number {
  return Number(getMeta(db, ERA) ?? 0);
}

function lastRevoked(db: Database, most: number): string[] {
  const sql = "SELECT device_id FROM receipts ORDER BY revocation_epoch DESC LIMIT ?";
  return db.all(sql, most).map((row) => text(row, "device_id"));
}

function macOf(db: Database, facts: Omit<Checkpoint, "mac">): Buffer {
  const { era: when, generation, incarnation, revocationEpoch: epoch, offset, revoked } = facts;
  const said = encodeValue([when, generation, incarnation, epoch, offset, [...revoked]]);
  return createHmac("sha256", Buffer.from(getMeta(db, KEY) ?? "", "hex"))
    .update("quaymesh checkpoint")
    .update(said)
    .digest();
}
