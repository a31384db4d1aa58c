import type { ExecRule } from "@quaymesh/node";
import { basename, isAbsolute } from "node:path";
import { CliError } from "./errors.ts";

const ANY_ARGUMENTS = "=any";

/**
 * Read one value of `--allow-exec`: an absolute path, called by its last part, run without arguments; with `=any` after it, with any arguments.
 * @throws {CliError} `USAGE`
 */
export function execRule(text: string): ExecRule {
  const any = text.endsWith(ANY_ARGUMENTS);
  const path = any ? text.slice(0, -ANY_ARGUMENTS.length) : text;
  if (!isAbsolute(path) || basename(path) === "") {
    throw new CliError("USAGE", `--allow-exec takes absolute paths, not "${text}"`, {
      hint: "What a bare name means would depend on PATH; find the path with:  command -v NAME",
    });
  }
  return any ? { command: basename(path), path, args: "any" } : { command: basename(path), path };
}
