/** The wire's test vectors as a fuzzer's first inputs. */
import { readFile } from "node:fs/promises";

const HEX = /^(?:[0-9a-f]{2})+$/;

/** Every byte string under a property named `hex` in `schemas/wire/vectors/<name>.json`, accepted or not. */
export async function vectorBytes(name: string): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  walk(await vectorFile(name), (key, value) => {
    if (key === "hex" && HEX.test(value)) found.push(Uint8Array.from(Buffer.from(value, "hex")));
  });
  return found;
}

/** Every string under a property named `text`. */
export async function vectorTexts(name: string): Promise<string[]> {
  const found: string[] = [];
  walk(await vectorFile(name), (key, value) => {
    if (key === "text") found.push(value);
  });
  return found;
}

async function vectorFile(name: string): Promise<unknown> {
  const url = new URL(`../../schemas/wire/vectors/${name}.json`, import.meta.url);
  return JSON.parse(await readFile(url, "utf8"));
}

function walk(value: unknown, visit: (key: string, value: string) => void): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (typeof inner === "string") visit(key, inner);
    else walk(inner, visit);
  }
}
