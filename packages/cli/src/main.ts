import { CommanderError, type Command } from "commander";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { EXIT_DONE } from "./exit-codes.ts";
import { Outcome } from "./outcome.ts";
import { buildProgram } from "./program.ts";
import { reportError } from "./report.ts";

/** What commander throws after it has printed what was asked for. */
const DISPLAYED = new Set(["commander.helpDisplayed", "commander.version"]);

/**
 * Run one `quaymesh` command.
 * @param args the words after `quaymesh`
 * @returns its exit code
 */
export async function main(args: readonly string[], context: Context): Promise<number> {
  const program = buildProgram(context);
  try {
    await program.parseAsync(args, { from: "user" });
    return EXIT_DONE;
  } catch (error) {
    if (error instanceof Outcome) return error.exit;
    if (error instanceof CommanderError && DISPLAYED.has(error.code)) return EXIT_DONE;
    // Options are not parsed where parsing failed; these two decide how to tell of it.
    const how = { json: args.includes("--json"), debug: args.includes("--debug") };
    return reportError(
      context.terminal,
      error instanceof CommanderError ? usageError(error, program, args) : error,
      how,
    );
  }
}

function usageError(error: CommanderError, program: Command, args: readonly string[]): CliError {
  const hint = `See how it is used with:  ${pathTo(program, args)} --help`;
  // A group without a command: commander has its help as the message.
  if (error.code === "commander.help") {
    return new CliError("USAGE", args.length === 0 ? "no command was given" : "that is only half a command", { hint });
  }
  const message = error.message.replace(/^error: /u, "").replaceAll("\n", " ");
  return new CliError("USAGE", message, { hint });
}

/** The command that `args` go as far as, in words. */
function pathTo(program: Command, args: readonly string[]): string {
  let command = program;
  let path = program.name();
  for (const word of args) {
    const inner = command.commands.find((candidate) => candidate.name() === word);
    if (inner === undefined) break;
    command = inner;
    path += ` ${word}`;
  }
  return path;
}
