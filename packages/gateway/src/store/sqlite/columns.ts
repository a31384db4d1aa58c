/** Readers of single columns. They throw where a row is not what the schema says: a damaged store must not turn into odd values. */
import { GatewayError } from "../../errors.ts";
import type { RawRow } from "./database.ts";

function bad(row: RawRow, column: string): GatewayError {
  return new GatewayError("STORE_CORRUPT", `column ${column} holds a ${typeof row[column]}`);
}

/** TEXT NOT NULL. */
export function text(row: RawRow, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw bad(row, column);
  return value;
}

/** TEXT. */
export function optionalText(row: RawRow, column: string): string | undefined {
  return row[column] === null ? undefined : text(row, column);
}

/** INTEGER or REAL, NOT NULL. */
export function number(row: RawRow, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw bad(row, column);
  return value;
}

/** INTEGER or REAL. */
export function optionalNumber(row: RawRow, column: string): number | undefined {
  return row[column] === null ? undefined : number(row, column);
}

/** Bytes, or undefined where the column is null. */
export function optionalBlob(row: RawRow, column: string): Uint8Array | undefined {
  return row[column] === null ? undefined : blob(row, column);
}

/** BLOB NOT NULL. */
export function blob(row: RawRow, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw bad(row, column);
  return value;
}

/** TEXT that holds a JSON array of strings. */
export function strings(row: RawRow, column: string): readonly string[] {
  const value = json(row, column);
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw bad(row, column);
  return value;
}

/** TEXT that holds JSON. */
export function json(row: RawRow, column: string): unknown {
  try {
    return JSON.parse(text(row, column));
  } catch (error) {
    throw new GatewayError("STORE_CORRUPT", `column ${column} is not JSON`, { cause: error });
  }
}

/** One of a closed set, in TEXT. */
export function oneOf<const T extends string>(row: RawRow, column: string, values: readonly T[]): T {
  const value = text(row, column);
  const known = values.find((item) => item === value);
  if (known === undefined) throw new GatewayError("STORE_CORRUPT", `column ${column} holds an unknown value`);
  return known;
}
