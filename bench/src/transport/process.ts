import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseReply, type Command, type Reply, type ReplyOf } from "./messages.ts";

const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));
const STOP_MS = 5000;

/** How a worker is started. */
export interface WorkerOptions {
  readonly system: string;
  readonly role: "server" | "client";
  readonly profileDir: string | null;
  /** Let it collect garbage when it is asked how much memory it has. */
  readonly exposesGc?: boolean;
  /** Where its standard error goes; with ours by default. */
  readonly stderr?: "inherit" | "ignore";
}

/** How long to wait for a reply, and what ends the wait early. */
export interface AskOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The runner's end of a worker process. One command at a time. */
export class Worker implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #exited: Promise<void>;
  #waiting: PromiseWithResolvers<Reply> | null = null;

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#settle((waiting) => waiting.reject(new Error(`${name} ended: ${String(signal ?? code)}`)));
        resolve();
      });
    });
    child.on("message", (value) => this.#settle((waiting) => settleWith(waiting, value)));
    child.on("error", (cause) => this.#settle((waiting) => waiting.reject(new Error(`${name} failed`, { cause }))));
  }

  /** Start a worker. */
  static start({ system, role, profileDir, exposesGc = false, stderr = "inherit" }: WorkerOptions): Worker {
    const profile =
      profileDir === null
        ? []
        : [
            "--cpu-prof",
            `--cpu-prof-dir=${profileDir}`,
            `--cpu-prof-name=${system}-${role}-${String(Date.now())}.cpuprofile`,
          ];
    const child = fork(WORKER, [system], {
      execArgv: ["-C", "@quaymesh/source", ...(exposesGc ? ["--expose-gc"] : []), ...profile],
      stdio: ["ignore", "inherit", stderr, "ipc"],
    });
    return new Worker(child, `the ${role} of ${system}`);
  }

  /**
   * Send a command and wait for its reply.
   * @throws {Error} when the worker says that it failed, ends, is silent for `timeoutMs`, or answers something else; rethrows `signal.reason`
   */
  async ask<T extends Reply["type"]>(command: Command, expected: T, options: AskOptions): Promise<ReplyOf<T>> {
    const { timeoutMs, signal } = options;
    signal.throwIfAborted();
    const waiting = Promise.withResolvers<Reply>();
    this.#waiting = waiting;
    const timer = setTimeout(() => {
      waiting.reject(new Error(`${this.#name} did not finish "${describe(command)}" within ${String(timeoutMs)} ms`));
    }, timeoutMs);
    const abort = () => waiting.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#child.send(command, (error) => {
      if (error !== null) waiting.reject(new Error(`${this.#name} cannot be reached`, { cause: error }));
    });
    try {
      const reply = await waiting.promise;
      if (isReply(reply, expected)) return reply;
      const problem = reply.type === "failed" ? `failed: ${reply.message}` : `answered "${reply.type}"`;
      throw new Error(`${this.#name}, asked to "${describe(command)}", ${problem}`);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      this.#waiting = null;
    }
  }

  /** Stop the process, by force if it does not in 5 s. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.send({ type: "stop" } satisfies Command, () => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  #settle(how: (waiting: PromiseWithResolvers<Reply>) => void): void {
    if (this.#waiting !== null) how(this.#waiting);
  }
}

function settleWith(waiting: PromiseWithResolvers<Reply>, value: unknown): void {
  try {
    waiting.resolve(parseReply(value));
  } catch (error) {
    waiting.reject(error);
  }
}

function isReply<T extends Reply["type"]>(reply: Reply, type: T): reply is ReplyOf<T> {
  return reply.type === type;
}

function describe(command: Command): string {
  return command.type === "open" ? `open ${command.work}` : command.type;
}
