/** A sum over the values of a row, whatever they are; see integrity.ts. */
import { crc32 } from "node:zlib";
import type { SQLOutputValue } from "node:sqlite";

/** CRC-32 over the values in order, each with its type and length, so that nothing can move from one into the next. Unsigned. */
export function rowSum(values: readonly SQLOutputValue[]): number {
  let sum = 0;
  for (const value of values) sum = crc32(encoded(value), sum);
  return sum;
}

function encoded(value: SQLOutputValue): Uint8Array {
  if (value === null) return Uint8Array.of(0);
  if (typeof value === "string") return tagged(1, Buffer.from(value));
  if (value instanceof Uint8Array) return tagged(2, value);
  const bytes = Buffer.alloc(9, 3);
  bytes.writeDoubleBE(Number(value), 1);
  return bytes;
}

function tagged(type: number, body: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(5 + body.length, type);
  bytes.writeUInt32BE(body.length, 1);
  bytes.set(body, 5);
  return bytes;
}
