/** The fuzzers' command, as a test runs it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Outcome } from "./target.ts";

/** What came of it. */
export interface Ran {
  readonly code: number | null;
  readonly stderr: string;
  /** With `--json`. */
  readonly outcomes: readonly Outcome[];
}

/** Run `npm run fuzz`, or its twin with planted bugs. */
export async function fuzz(entry: "main.ts" | "planted/main.ts", ...argv: readonly string[]): Promise<Ran> {
  const script = fileURLToPath(new URL(entry, import.meta.url));
  const flags = ["--no-opt", "--no-maglev", "-C", "@quaymesh/source"];
  // What comes compiled from a cache is not counted as reached.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" };
  const child = spawn(process.execPath, [...flags, script, ...argv], { env, stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exited;
  const lines = argv.includes("--json") ? stdout.split("\n").filter((line) => line !== "") : [];
  return { code, stderr, outcomes: lines.map((line): Outcome => JSON.parse(line)) };
}
