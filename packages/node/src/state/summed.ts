/** JSON files that notice damage: their last field is a CRC-32 of the others. It finds what a disk did, and is no signature. */
import { crc32 } from "node:zlib";

/** As text, with `sum` behind the fields. */
export function encodeSummed(fields: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ ...fields, sum: sumOf(fields) }, undefined, 2)}\n`;
}

/** What was written, or what is wrong with it. A file from before there were sums is taken as it is. */
export function decodeSummed(text: string): ReadonlyMap<string, unknown> | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "it is not JSON";
  }
  if (typeof value !== "object" || value === null) return "it is not an object";
  const { sum, ...fields }: { readonly sum?: unknown } = value;
  if (sum !== undefined && sum !== sumOf(fields)) return "it is not what was written";
  return new Map(Object.entries(fields));
}

/** The sum by itself, for files that are not JSON: eight digits, hexadecimal. */
export function sumOfText(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}

function sumOf(fields: object): string {
  return sumOfText(JSON.stringify(fields));
}
