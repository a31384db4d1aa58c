import { Command, InvalidArgumentError, Option } from "commander";
import { exitLines } from "./exit-codes.ts";

/** What `--help` says of a command besides its options. */
export interface Manual {
  /** One line, for the list of commands. */
  readonly summary: string;
  /** What it does, what it prints, how it is undone. */
  readonly description: string;
  /** Command lines with what they do. */
  readonly examples: readonly (readonly [line: string, does: string])[];
  /** Exit codes besides 0, 1 and 2. */
  readonly exits: readonly number[];
  /** Whose state directory `--state` names. */
  readonly state: "gateway" | "node";
}

/**
 * A command with the options all commands share and a manual after them.
 * @param usage name and arguments, as in `show <device>`
 */
export function makeCommand(usage: string, manual: Manual): Command {
  const [name = usage, ...parameters] = usage.split(" ");
  const command = new Command(name).helpCommand(false).summary(manual.summary).description(manual.description);
  for (const parameter of parameters) command.argument(parameter);
  command
    .addOption(
      new Option("--state <dir>", `the ${manual.state}'s state directory (default: under ~/.local/state/quaymesh)`),
    )
    .addOption(new Option("--json", "print JSON for programs, one value a line").default(false))
    .addOption(new Option("--debug", "show stacks with errors").default(false).hideHelp());
  const examples = manual.examples.flatMap(([line, does]) => [`  ${line}`, `      ${does}`]).join("\n");
  return command.addHelpText("after", `\nExamples:\n${examples}\n\nExit codes:\n${exitLines(...manual.exits)}`);
}

/** A group of commands, such as `device`. */
export function makeGroup(name: string, summary: string, commands: readonly Command[]): Command {
  const group = new Command(name).helpCommand(false).summary(summary).description(summary);
  for (const command of commands) group.addCommand(command);
  return group;
}

/** A whole number from `min` to `max`, for an option. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,16}$/u.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

const UNITS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds from `90`, `90s`, `5m`, `2h` or `1d`, from `min` to `max` seconds. */
export function seconds(min: number, max: number): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,9})([smhd]?)$/u.exec(text);
    const value = match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] ?? ""] ?? 1);
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(`Give a time such as 90s, 5m or 2h, from ${min} to ${max} seconds.`);
    }
    return value;
  };
}

const SIZES: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/** Bytes from `500MB`, `10GB`, `2T` or `4096`, powers of ten, from `min` bytes. */
export function bytes(min: number): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,12}(?:\.\d{1,3})?)([kmgt]?)b?$/iu.exec(text);
    const value =
      match === null ? Number.NaN : Math.round(Number(match[1]) * (SIZES[(match[2] ?? "").toLowerCase()] ?? 1));
    if (!(value >= min && value <= Number.MAX_SAFE_INTEGER)) {
      throw new InvalidArgumentError(`Give a size such as 500MB or 10GB, from ${min} bytes.`);
    }
    return value;
  };
}

/** A list from `a,b,c`; repeats of the option add up. */
export function list(text: string, before: readonly string[] = []): readonly string[] {
  const items = text.split(",").map((item) => item.trim());
  if (items.some((item) => item === ""))
    throw new InvalidArgumentError("Give values separated by commas, none of them empty.");
  return [...before, ...items];
}
