import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "vitest";
import type { Result } from "../src/report.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));

/** How long a quick run may take on a machine that does other things too. */
export const RUN_MS = 120_000;

/** Run the bench as a user does, with `--json`; its table must fit 80 columns. */
export async function benchResult(...args: string[]): Promise<Result> {
  const all = ["-C", "@quaymesh/source", MAIN, ...args, "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, all, { timeout: RUN_MS });
  const lines = stdout.trimEnd().split("\n");
  expect(Math.max(...lines.slice(0, -1).map((line) => line.length))).toBeLessThanOrEqual(80);
  return JSON.parse(lines.at(-1) ?? "") as Result;
}
