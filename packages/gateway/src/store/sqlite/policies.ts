/** Units of the policy; see PolicyStore for what each promises. */
import { GatewayError } from "../../errors.ts";
import type { PolicyRow, PutPolicy } from "../port-policies.ts";
import { number, text } from "./columns.ts";
import type { Database, RawRow } from "./database.ts";

/** The newest version. */
export function currentPolicy(db: Database): PolicyRow | undefined {
  return policyHistory(db, { limit: 1 })[0];
}

/** Newest first. */
export function policyHistory(db: Database, { limit }: { readonly limit: number }): readonly PolicyRow[] {
  return db.all("SELECT * FROM policies ORDER BY version DESC LIMIT ?", limit).map(policyRow);
}

/** The next version, if nobody came first. */
export function putPolicy(db: Database, { expected, body, setBy, now }: PutPolicy): PolicyRow {
  const version = currentPolicy(db)?.version ?? 0;
  if (version !== expected) {
    throw new GatewayError("POLICY_CHANGED", `the policy is at version ${version}, not ${expected}`, {
      metadata: { version: String(version) },
    });
  }
  db.run("INSERT INTO policies VALUES (?, ?, ?, ?)", version + 1, body, setBy, now);
  return { version: version + 1, body, setBy, setAt: now };
}

function policyRow(row: RawRow): PolicyRow {
  return {
    version: number(row, "version"),
    body: text(row, "body"),
    setBy: text(row, "set_by"),
    setAt: number(row, "set_at"),
  };
}
