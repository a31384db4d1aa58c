import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from "node:child_process";
import { isAbsolute } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { NodeError } from "../errors.ts";
import { TaskFailure, type TaskContext } from "./context.ts";
import { defineTask, type TaskDefinition } from "./define.ts";
import type { ExecRule } from "./exec-policy.ts";
import { LineSplitter } from "./lines.ts";
import { standardSchema } from "./standard-schema.ts";

/** How long a command has between SIGTERM and SIGKILL. */
const KILL_AFTER_MS = 3000;
const MAX_ARGUMENTS = 256;
/** From a command's end to that of its output, where something else holds it open. */
const DRAIN_MS = 1000;

/** Input of the built-in `exec`. */
export interface ExecInput {
  /** As the node's rules call it. */
  readonly command: string;
  readonly args: readonly string[];
  /** What it reads; nothing by default. */
  readonly stdin?: Uint8Array;
}

/** Output of the built-in `exec`; another exit code than 0 is a failure, `EXEC_FAILED`. */
export interface ExecOutput {
  readonly exitCode: number;
}

const inputSchema = standardSchema<ExecInput>((value) => {
  if (typeof value !== "object" || value === null) return { issue: "expected an object" };
  const fields = new Map<string, unknown>(Object.entries(value));
  const command = fields.get("command");
  const args = fields.get("args") ?? [];
  const stdin = fields.get("stdin");
  if (typeof command !== "string") return { issue: "expected a string", path: "command" };
  if (!Array.isArray(args) || args.length > MAX_ARGUMENTS) return { issue: "expected a list of strings", path: "args" };
  const texts = args.filter((item): item is string => typeof item === "string" && !item.includes("\0"));
  if (texts.length !== args.length) return { issue: "expected a list of strings", path: "args" };
  if (stdin !== undefined && !(stdin instanceof Uint8Array)) return { issue: "expected bytes", path: "stdin" };
  return { value: { command, args: texts, ...(stdin !== undefined && { stdin }) } };
});

const outputSchema = standardSchema<ExecOutput>((value) => {
  const isOutput = typeof value === "object" && value !== null && "exitCode" in value;
  if (!isOutput || typeof value.exitCode !== "number") return { issue: "expected an exit code" };
  return { value: { exitCode: value.exitCode } };
});

/**
 * The built-in `exec`: runs a command of `rules`, its output as log lines (stdout `info`, stderr `warn`), its whole process group gone when
 * the attempt is.
 * @throws {NodeError} `OPTIONS_INVALID` for a path that is not absolute or a command named twice
 */
export function execTask(rules: readonly ExecRule[]): TaskDefinition {
  const byCommand = new Map<string, ExecRule>();
  for (const rule of rules) {
    if (!isAbsolute(rule.path)) throw new NodeError("OPTIONS_INVALID", `exec: ${rule.path} is not an absolute path`);
    if (byCommand.has(rule.command)) throw new NodeError("OPTIONS_INVALID", `exec: two rules for ${rule.command}`);
    byCommand.set(rule.command, rule);
  }
  return defineTask({
    name: "exec",
    input: inputSchema,
    output: outputSchema,
    run: (input, context) => execute(permitted(byCommand, input), input, context),
  });
}

function permitted(rules: ReadonlyMap<string, ExecRule>, { command, args }: ExecInput): ExecRule {
  const named = rules.get(command);
  // By its path as well: people give what they would type. Several names may stand for one file.
  const candidates = named === undefined ? [...rules.values()].filter(({ path }) => path === command) : [named];
  if (candidates.length === 0) throw new TaskFailure("EXEC_NOT_ALLOWED", `this node does not allow ${command}`);
  const rule = candidates.find((candidate) => takes(candidate, args));
  if (rule === undefined)
    throw new TaskFailure("EXEC_NOT_ALLOWED", `this node does not allow ${command} with these arguments`);
  return rule;
}

function takes(rule: ExecRule, args: readonly string[]): boolean {
  const allowed = rule.args ?? [[]];
  return allowed === "any" || allowed.some((list) => equal(list, args));
}

function equal(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

async function execute(rule: ExecRule, input: ExecInput, context: TaskContext): Promise<ExecOutput> {
  context.signal.throwIfAborted();
  const child = spawn(rule.path, [...input.args], {
    env: { ...(rule.env ?? inheritedEnvironment()) },
    stdio: "pipe",
    // A group of its own: what the command started is stopped with it.
    detached: true,
    shell: false,
    ...(rule.cwd !== undefined && { cwd: rule.cwd }),
  });
  const ended = exitOf(child);
  const stopping = stopOnAbort(child, context.signal, ended);
  child.stdin.on("error", () => {});
  child.stdin.end(input.stdin);
  const output = [pipeLines(child.stdout, context, "info"), pipeLines(child.stderr, context, "warn")];
  try {
    const { code, signal } = await ended;
    await drained(child, output);
    context.signal.throwIfAborted();
    if (code === 0) return { exitCode: 0 };
    const how = code === null ? `was ended by ${signal ?? "a signal"}` : `ended with exit code ${code}`;
    throw new TaskFailure("EXEC_FAILED", `${input.command} ${how}`);
  } finally {
    await stopping;
  }
}

/** What the command wrote is read to its end. A process it left behind may hold its output open for ever: nobody waits for that one's words. */
async function drained(child: Readers, output: readonly Promise<void>[]): Promise<void> {
  const over = new AbortController();
  const late = delay(DRAIN_MS, undefined, { signal: over.signal }).then(
    () => {
      child.stdout.destroy();
      child.stderr.destroy();
    },
    () => {},
  );
  await Promise.all(output);
  over.abort();
  await late;
}

/** The pipes a command writes to. */
type Readers = Pick<ChildProcessWithoutNullStreams, "stdout" | "stderr">;

interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

function exitOf(child: ChildProcess): Promise<Exit> {
  const { promise, resolve, reject } = Promise.withResolvers<Exit>();
  child.once("error", (cause) => {
    reject(new TaskFailure("EXEC_NOT_STARTED", `the command could not be started: ${cause.message}`, { cause }));
  });
  child.once("exit", (code, signal) => {
    resolve({ code, signal });
  });
  return promise;
}

/** SIGTERM to the group, and SIGKILL to what is left of it. Settles when the command has ended; never rejects. */
async function stopOnAbort(child: ChildProcess, signal: AbortSignal, ended: Promise<Exit>): Promise<void> {
  const over = new AbortController();
  const onAbort = (): void => {
    signalGroup(child, "SIGTERM");
    void delay(KILL_AFTER_MS, undefined, { ref: false, signal: over.signal }).then(
      () => signalGroup(child, "SIGKILL"),
      // The group has ended meanwhile, and its number may be somebody else's.
      () => {},
    );
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await ended;
  } catch {
    // It never ran.
  } finally {
    signal.removeEventListener("abort", onAbort);
    over.abort();
    // Children that outlive the command would go on without anyone to answer to.
    signalGroup(child, signal.aborted ? "SIGKILL" : "SIGTERM");
  }
}

function signalGroup(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, name);
  } catch {
    // The group is gone.
  }
}

async function pipeLines(source: AsyncIterable<Buffer>, context: TaskContext, level: "info" | "warn"): Promise<void> {
  const lines = new LineSplitter((line) => context.log(line, level));
  try {
    for await (const chunk of source) lines.push(chunk);
  } catch {
    // A pipe that breaks with the process has given what it had.
  }
  lines.end();
}

function inheritedEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ["PATH", "HOME", "LANG"]) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
