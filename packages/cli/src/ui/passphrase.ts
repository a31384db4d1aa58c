import { readFile } from "node:fs/promises";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { readSecret } from "./secret.ts";

/**
 * A passphrase: the first line of a file, or typed; from a pipe, its first line. Never from the command line.
 * @param options.again ask a second time at a terminal, where a slip would lock something up
 * @throws {CliError} `FILE_NOT_FOUND`, `USAGE` where none is given or the two differ; rethrows the context's signal
 */
export async function readPassphrase(
  context: Context,
  prompt: string,
  options: { readonly file?: string | undefined; readonly again?: boolean } = {},
): Promise<string> {
  if (options.file !== undefined) return await fromFile(options.file);
  const passphrase = await readSecret(context, `${prompt}: `);
  if (options.again !== true || !context.terminal.interactive) return passphrase;
  if ((await readSecret(context, `${prompt}, again: `)) === passphrase) return passphrase;
  throw new CliError("USAGE", "the two passphrases differ; nothing was changed");
}

async function fromFile(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new CliError("FILE_NOT_FOUND", `the passphrase cannot be read from ${path}`, { cause });
  }
  const line = text.split("\n", 1)[0]?.trim() ?? "";
  if (line !== "") return line;
  throw new CliError("USAGE", `the first line of ${path} is empty: it must hold the passphrase`);
}
