import { readFileSync } from "node:fs";

/** Read one of the normative vector files. */
export function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../schemas/wire/vectors/${name}.json`, import.meta.url), "utf8"));
}

/** Bytes of a hexadecimal string. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}
