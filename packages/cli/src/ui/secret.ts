import { createInterface } from "node:readline/promises";
import type { Readable } from "node:stream";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";

/** Longest secret that is read: a PIN with spaces, or a pasted link. */
const MAX_LENGTH = 4096;

/**
 * Read a line that must not show: masked at a terminal, plainly from a pipe. Never from the command line, which every user of the machine can see.
 * @throws {CliError} `USAGE` when nothing comes; rethrows the context's signal
 */
export async function readSecret(context: Context, prompt: string): Promise<string> {
  const line = context.terminal.interactive
    ? await readMasked(context, prompt)
    : await readLine(context.terminal.streams.stdin, context.signal);
  if (line.trim() !== "") return line.trim();
  throw new CliError("USAGE", `no answer to: ${prompt.trim()}`, {
    hint: "Type it at the prompt, or write it to standard input.",
  });
}

/** The first line of a stream that is not empty, cut at a sensible length; empty when there is none. Rethrows `signal.reason`. */
export async function readLine(input: Readable, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input, crlfDelay: Infinity });
  const onAbort = (): void => lines.close();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const line of lines) {
      if (line.trim() !== "") return line.slice(0, MAX_LENGTH);
    }
    signal.throwIfAborted();
    return "";
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function readMasked(context: Context, prompt: string): Promise<string> {
  const { stdin, stderr } = context.terminal.streams;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let typed = "";
  const onData = (chunk: Buffer): void => {
    for (const key of chunk.toString("utf8")) {
      if (key === "\r" || key === "\n" || key === "\u0004") return resolve(typed);
      if (key === "\u0003") process.kill(process.pid, "SIGINT");
      else if (key === "\u007F" || key === "\b") typed = typed.slice(0, -1);
      else if (key >= " " && typed.length < MAX_LENGTH) typed += key;
    }
    stderr.write(`\r\u001B[2K${prompt}${"█".repeat(typed.length)}`);
  };
  const onAbort = (): void => reject(context.signal.reason);
  stderr.write(prompt);
  stdin.setRawMode?.(true);
  stdin.on("data", onData);
  // A stream that was paused after an earlier question stays so: nothing would come, and nothing keep the process waiting for it.
  stdin.resume();
  context.signal.addEventListener("abort", onAbort, { once: true });
  return promise.finally(() => {
    stdin.off("data", onData);
    stdin.setRawMode?.(false);
    stdin.pause();
    context.signal.removeEventListener("abort", onAbort);
    stderr.write("\n");
  });
}
