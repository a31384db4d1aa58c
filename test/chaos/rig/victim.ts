/** Processes that are killed and stopped on purpose, and never outlive the harness. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

/** What a {@link Victim} runs, and who hears of it. */
export interface VictimOptions {
  readonly script: URL;
  /** What the script gets, as JSON in its first argument. */
  readonly setup: unknown;
  /** Where Node keeps compiled sources between starts. */
  readonly cache: string;
  /** A whole line of its standard output; one that a kill cut short is not told. */
  readonly onLine: (line: string) => void;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const MAX_STDERR_CHARS = 4000;
const living = new Set<Child>();
// By process id, and by force: a stopped process takes no other signal.
process.once("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

/** One process. */
export class Victim {
  /** Settles when it is gone and everything it wrote was read: with how it ended. */
  readonly over: Promise<{ readonly how: string; readonly stderr: string }>;
  readonly #child: Child;
  #tail = "";
  #stderr = "";

  constructor({ script, setup, cache, onLine }: VictimOptions) {
    const args = ["-C", "@quaymesh/source", fileURLToPath(script), JSON.stringify(setup)];
    const env = { ...process.env, NODE_COMPILE_CACHE: cache };
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"], env });
    this.#child = child;
    living.add(child);
    // It may be gone before it has read what it is told.
    child.stdin.on("error", () => {});
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (this.#tail + text).split("\n");
      this.#tail = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_STDERR_CHARS);
    });
    this.over = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        living.delete(child);
        resolve({ how: signal ?? String(code), stderr: this.#stderr });
      });
    });
  }

  /** SIGKILL: nothing in it runs any more. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** SIGSTOP: it stands still, and the world goes on. */
  stop(): void {
    this.#child.kill("SIGSTOP");
  }

  /** SIGCONT. */
  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Tell it something. */
  say(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }
}
