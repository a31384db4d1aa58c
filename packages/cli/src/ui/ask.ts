import { createInterface } from "node:readline/promises";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";

/**
 * Ask a question that only an explicit yes affirms.
 * @param signal takes the question back, for when it is answered elsewhere
 * @throws {CliError} `USAGE` when nobody is at the terminal; rethrows `signal.reason`
 */
export async function confirm(
  context: Context,
  question: string,
  options: { flag: string; signal?: AbortSignal },
): Promise<boolean> {
  const { terminal } = context;
  if (!terminal.interactive) {
    throw new CliError("USAGE", `nobody is at this terminal to ask: ${question}`, {
      hint: `Say it beforehand with ${options.flag}.`,
    });
  }
  const signal = options.signal === undefined ? context.signal : AbortSignal.any([context.signal, options.signal]);
  const answer = await readAnswer(context, `${question} (y/N) `, signal);
  return /^y(?:es)?$/iu.test(answer.trim());
}

/** Read a line at the terminal; empty where it ends. Rethrows `signal.reason`. */
export async function readAnswer(context: Context, prompt: string, signal: AbortSignal): Promise<string> {
  const { streams } = context.terminal;
  const lines = createInterface({ input: streams.stdin, output: streams.stderr, terminal: true });
  // In raw mode Ctrl-C is a key, and readline swallows it unless someone listens.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const closed = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
  try {
    return await Promise.race([lines.question(prompt, { signal }), closed]);
  } catch (cause) {
    signal.throwIfAborted();
    throw cause;
  } finally {
    lines.close();
  }
}
