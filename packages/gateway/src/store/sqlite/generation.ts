/** The highest generation of the store this machine has seen, in a file of its own, so that an old copy put back is noticed. */
import { readFile } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { writeFileAtomic } from "@quaymesh/identity";
import { GatewayError } from "../../errors.ts";

/** @returns 0 where none was seen @throws {GatewayError} `STORE_CORRUPT` where it is not what was written, `STORE_FAILED` */
export async function readGeneration(path: string): Promise<number> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    throw new GatewayError("STORE_FAILED", `${path} cannot be read`, { cause: error });
  }
  const value = decode(text);
  if (value !== undefined) return value;
  const what = `${path} is damaged: it is not a generation. If the database beside it is the newest there is, remove that file and start: nodes tell an older one, too`;
  throw new GatewayError("STORE_CORRUPT", what, { metadata: { path } });
}

/** Remember that `generation` was seen. */
export async function writeGeneration(path: string, generation: number): Promise<void> {
  try {
    await writeFileAtomic(path, encode(generation));
  } catch (error) {
    throw new GatewayError("STORE_FAILED", `${path} cannot be written`, { cause: error });
  }
}

/** The number and, on a line of its own, a sum of it: one bit more or less would let an older copy pass, or accuse the newest. */
function encode(generation: number): string {
  const line = `${generation}\n`;
  return `${line}${crc32(line)}\n`;
}

function decode(text: string): number | undefined {
  const [, line = "", digits = "", sum] = /^((\d{1,15})\n?)(?:(\d+)\n)?$/u.exec(text) ?? [];
  // Files from before there were sums have none.
  return digits === "" || (sum !== undefined && Number(sum) !== crc32(line)) ? undefined : Number(digits);
}
