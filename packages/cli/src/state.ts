import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { CliError } from "./errors.ts";

/**
 * Where a node keeps its state when nobody names a directory: `QUAYMESH_NODE_STATE`, else `$XDG_STATE_HOME/quaymesh/node`, else
 * `~/.local/state/quaymesh/node`.
 */
export function defaultNodeState(env: Readonly<Record<string, string | undefined>>): string {
  const named = env["QUAYMESH_NODE_STATE"];
  if (named !== undefined && named !== "") return resolve(named);
  const xdg = env["XDG_STATE_HOME"];
  // The XDG specification: a relative value is invalid and ignored.
  const base = xdg?.startsWith("/") === true ? xdg : join(homedir(), ".local", "state");
  return join(base, "quaymesh", "node");
}

/**
 * Make sure that a state directory is there before anything is asked of it: most often the wrong one was named.
 * @throws {CliError} `STATE_MISSING`, `STATE_PERMISSIONS`
 */
export async function requireState(directory: string, whose: "gateway" | "node"): Promise<string> {
  const path = resolve(directory);
  const makes = whose === "gateway" ? "quaymesh gateway run" : "quaymesh node join";
  const missing = (seen: readonly string[] = []): CliError =>
    new CliError("STATE_MISSING", `there is no ${whose} state directory at ${path}`, {
      seen,
      hint: `Name the right one with --state DIR, or make it with:  ${makes} --state ${path}`,
    });
  try {
    const found = await stat(path);
    if (!found.isDirectory()) throw missing(["something else has that name"]);
    return path;
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") throw missing();
    throw new CliError("STATE_PERMISSIONS", `the state directory ${path} cannot be looked at`, {
      cause,
      hint: "Run this as the user who owns it.",
    });
  }
}
