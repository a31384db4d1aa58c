/** Reads the vectors in schemas/wire/vectors. */
import { readFileSync } from "node:fs";

/** A vector file as parsed JSON. */
export function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../schemas/wire/vectors/${name}`, import.meta.url), "utf8"));
}

/** Bytes of a hex string, as a plain `Uint8Array`. */
export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

/** Hex of bytes. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A value as the vectors write it: `$bytes`, `$float` and `$zeros` stand for what JSON lacks. */
export function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [key, inner] = entries[0] ?? [];
  if (key === "$bytes") return fromHex(String(inner));
  if (key === "$float") return Number(inner);
  if (key === "$zeros") return Array.from({ length: Number(inner) }, () => 0);
  return Object.fromEntries(entries.map(([name, entry]) => [name, fromJson(entry)]));
}
