import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { DemoError } from "./error.ts";

/** A value a child printed as a line of JSON. */
export type Line = Readonly<Record<string, unknown>>;

/** How a child ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Options of {@link Child.start}. */
export interface ChildOptions {
  /** What people call it, for messages. */
  readonly name: string;
  /** The module and its arguments, run by this same Node. */
  readonly args: readonly string[];
  /** Node options before the module. */
  readonly execArgv?: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** Sees every line of JSON, notes on stderr too; without it the lines of stdout are kept for {@link Child.line}. */
  readonly onLine?: (line: Line) => void;
}

/** Lines of stderr that are kept to explain a failure. */
const KEPT_STDERR = 12;
/** How long a child may take to stop when asked. */
const STOP_MS = 10_000;
/** No step of the demo waits longer for any one thing. */
const WAIT_MS = 60_000;

interface Waiter {
  readonly wants: (line: Line) => boolean;
  readonly resolve: (line: Line) => void;
  readonly reject: (cause: unknown) => void;
}

/** A process of the demo, read line by line. Disposing stops it, politely first. */
export class Child implements AsyncDisposable {
  readonly name: string;
  /** Settles when the process is over and all it printed was read. */
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;
  readonly #lines: Line[] = [];
  readonly #waiters = new Set<Waiter>();
  readonly #stderr: string[] = [];
  readonly #signal: AbortSignal;
  #over = false;

  private constructor(child: ChildProcess, options: ChildOptions) {
    this.name = options.name;
    this.#process = child;
    this.#signal = options.signal;
    this.exited = this.#watch(options.onLine);
  }

  /** Start a process. It inherits nothing but `env`; its stdin is a pipe. */
  static start(options: ChildOptions): Child {
    const args = [...(options.execArgv ?? []), ...options.args];
    const child = spawn(process.execPath, args, { env: options.env, stdio: ["pipe", "pipe", "pipe"] });
    return new Child(child, options);
  }

  /**
   * The first line, printed already or still to come, that `wants` accepts; it is taken out, so that the next call finds the next one.
   * @throws {DemoError} when the process ends first or nothing comes in a minute; rethrows the signal's reason
   */
  async line(what: string, wants: (line: Line) => boolean): Promise<Line> {
    const index = this.#lines.findIndex(wants);
    const found = this.#lines[index];
    if (found !== undefined) {
      this.#lines.splice(index, 1);
      return found;
    }
    if (this.#over) throw this.failure(`${this.name} ended before ${what}`);
    const { promise, resolve, reject } = Promise.withResolvers<Line>();
    const waiter: Waiter = { wants, resolve, reject };
    this.#waiters.add(waiter);
    try {
      return await this.#inTime(what, promise);
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  /** Wait for the end. @throws {DemoError} when the exit code is not `code`, or it does not end in a minute; rethrows the signal's reason */
  async exit(code: number): Promise<void> {
    const exit = await this.#inTime("end", this.exited);
    if (exit.code !== code)
      throw this.failure(`${this.name} ended with ${describe(exit)} instead of exit code ${code}`);
  }

  /** End it at once, as a power cut would, and wait until it is gone. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.exited;
  }

  /** Ask it to stop, as Ctrl-C would, and wait until it has. */
  async stop(): Promise<Exit> {
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Write a line to its stdin. */
  send(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }

  /** An error that carries its last words. */
  failure(message: string): DemoError {
    return new DemoError(message, { seen: this.#stderr.map((line) => `${this.name}: ${readable(line)}`) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) await this.stop();
  }

  async #inTime<T>(what: string, wanted: Promise<T>): Promise<T> {
    this.#signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(this.failure(`${this.name}: no ${what} in ${WAIT_MS / 1000} s`)), WAIT_MS);
    const onAbort = (): void => reject(this.#signal.reason);
    this.#signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([wanted, promise]);
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener("abort", onAbort);
    }
  }

  async #watch(onLine: ((line: Line) => void) | undefined): Promise<Exit> {
    const { stdin, stdout, stderr } = this.#process;
    if (stdin === null || stdout === null || stderr === null) throw new DemoError(`${this.name} has no pipes`);
    // A child that was killed does not read what was sent to it.
    stdin.on("error", () => {});
    const over = new Promise<Exit>((resolve) => {
      this.#process.once("error", (error) => {
        this.#stderr.push(error.message);
        resolve({ code: null, signal: null });
      });
      this.#process.once("close", (code, signal) => resolve({ code, signal }));
    });
    createInterface({ input: stderr }).on("line", (line) => {
      this.#stderr.push(line);
      if (this.#stderr.length > KEPT_STDERR) this.#stderr.shift();
      const note = onLine && parseLine(line);
      if (note) onLine(note);
    });
    createInterface({ input: stdout }).on("line", (text) => this.#take(text, onLine));
    const exit = await over;
    this.#over = true;
    for (const waiter of this.#waiters) waiter.reject(this.failure(`${this.name} ended with ${describe(exit)}`));
    return exit;
  }

  #take(text: string, onLine: ((line: Line) => void) | undefined): void {
    const line = parseLine(text);
    // A killed process leaves half a line at times; that was never said.
    if (line === undefined) return;
    onLine?.(line);
    for (const waiter of this.#waiters) {
      if (!waiter.wants(line)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(line);
      return;
    }
    if (onLine === undefined) this.#lines.push(line);
  }
}

function parseLine(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** A line of stderr for people: an error a command told of as JSON becomes its sentence. */
function readable(line: string): string {
  const error = parseLine(line)?.["error"];
  if (typeof error !== "object" || error === null || !("message" in error && "code" in error)) return line;
  const hint = "hint" in error && typeof error.hint === "string" ? ` ${error.hint}` : "";
  return `${String(error.message)}${hint} (${String(error.code)})`;
}

function describe({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code ?? "unknown"}` : signal;
}
