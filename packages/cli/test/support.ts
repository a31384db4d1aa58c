import { PassThrough, Writable } from "node:stream";
import type { Context } from "../src/context.ts";
import { main } from "../src/main.ts";
import { Terminal } from "../src/ui/terminal.ts";

/** A stream that keeps what is written to it. */
class Kept extends Writable {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number | undefined;
  constructor(screen: { readonly isTTY?: boolean; readonly columns?: number } = {}) {
    super();
    this.isTTY = screen.isTTY ?? false;
    this.columns = screen.columns;
  }
  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** A terminal whose output can be read back. */
export function fakeTerminal(
  screen: {
    readonly isTTY?: boolean;
    /** Somebody can type. */
    readonly keyboard?: boolean;
    readonly columns?: number;
    readonly env?: Record<string, string>;
  } = {},
) {
  const stdout = new Kept(screen);
  const stderr = new Kept(screen);
  const stdin = Object.assign(new PassThrough(), screen.keyboard === true && { isTTY: true });
  const terminal = new Terminal({ stdin, stdout, stderr, env: screen.env ?? {} });
  return { terminal, stdin, stdout, stderr };
}

/** Run a command in this process and return what it said. */
export async function runCommand(
  args: readonly string[],
  { typed, ...screen }: Parameters<typeof fakeTerminal>[0] & { readonly typed?: string } = {},
) {
  const { terminal, stdin, stdout, stderr } = fakeTerminal(screen);
  stdin.end(typed);
  const context: Context = { terminal, signal: new AbortController().signal, inherited: () => [], now: Date.now };
  const exit = await main(args, context);
  return { exit, stdout: stdout.text, stderr: stderr.text };
}
