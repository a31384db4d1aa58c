/** The highest generation of the store this machine has seen, in a file of its own, so that an old copy put back is noticed. */
import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "@quaymesh/identity";
import { GatewayError } from "../../errors.ts";

/** @returns 0 where none was seen */
export async function readGeneration(path: string): Promise<number> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    throw new GatewayError("STORE_FAILED", `${path} cannot be read`, { cause: error });
  }
  const value = Number(text.trim());
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new GatewayError("STORE_CORRUPT", `${path} does not hold a generation`, { metadata: { path } });
  }
  return value;
}

/** Remember that `generation` was seen. */
export async function writeGeneration(path: string, generation: number): Promise<void> {
  try {
    await writeFileAtomic(path, `${generation}\n`);
  } catch (error) {
    throw new GatewayError("STORE_FAILED", `${path} cannot be written`, { cause: error });
  }
}
