/** How the command lines of the harnesses are read. */
import { parseArgs, type ParseArgsConfig } from "node:util";

/** The command line cannot be understood; the message says what would be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Exit code of a command line that cannot be understood. */
const USAGE = 2;
/** Of seeds, and of whatever is counted. */
const MAX_NUMBER = 0xffff_ffff;

/** `parseArgs`. @throws {UsageError} */
export function parseCommandLine<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/**
 * What `read` makes of the command line; where that is nothing, because help was asked for or nobody can understand it, that has been said, and the exit code is given.
 * @param read `null` where help is asked for
 */
export function optionsOrExit<T extends object>(read: () => T | null, usage: () => string): T | 0 | typeof USAGE {
  try {
    const options = read();
    if (options !== null) return options;
    process.stdout.write(`${usage()}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n--help says more.\n`);
    return USAGE;
  }
}

/** A whole number from `least` (0) to `most`. @param usual where the option is left out @throws {UsageError} */
export function wholeNumber(
  option: string,
  text: string | undefined,
  { usual, least = 0, most = MAX_NUMBER }: { readonly usual: number; readonly least?: number; readonly most?: number },
): number {
  if (text === undefined) return usual;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${option} takes a whole number from ${String(least)} to ${String(most)}, not ${text}`);
}

/** One of `known`, by its name. @throws {UsageError} */
export function oneOf<K extends string>(what: string, name: string, known: Readonly<Record<K, unknown>>): K {
  if (Object.hasOwn(known, name)) return name as K;
  throw new UsageError(`there is no ${what} ${name}; there is ${Object.keys(known).join(", ")}`);
}
