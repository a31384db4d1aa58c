import { optionalText } from "./columns.ts";
import type { Database } from "./database.ts";

/** A fact about the store, by key. */
export function getMeta(db: Database, key: string): string | undefined {
  const row = db.get("SELECT value FROM meta WHERE key = ?", key);
  return row === undefined ? undefined : optionalText(row, "value");
}

/** Set a fact about the store. */
export function putMeta(db: Database, input: { readonly key: string; readonly value: string }): void {
  db.run(
    "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    input.key,
    input.value,
  );
}

/** Key of the fencing token above which every new one lies. */
export const TOKEN_FLOOR = "token-floor";
/** Key of the moment a restore made of this database what it is, Unix milliseconds: certificates issued before it may not be known here. */
export const RESTORED_AT = "restored-at";

/** Key of the revocation epoch. */
export const REVOCATION_EPOCH = "revocation-epoch";

/** 0 before the first revocation. */
export function revocationEpoch(db: Database): number {
  return Number(getMeta(db, REVOCATION_EPOCH) ?? 0);
}

/** One more revocation. @returns its epoch */
export function nextRevocationEpoch(db: Database): number {
  const epoch = revocationEpoch(db) + 1;
  putMeta(db, { key: REVOCATION_EPOCH, value: String(epoch) });
  return epoch;
}
