/** Real `quaymesh` processes for the end-to-end tests. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../packages/cli/bin/quaymesh.js", import.meta.url));

/** A line of JSON a command printed. */
export type Line = Readonly<Record<string, unknown>>;

/** How a command ended, and what it said. */
export interface Ended {
  readonly exit: number | null;
  readonly stdout: string;
  /** The error it told of with `--json`, if any. */
  readonly error: { readonly code: string; readonly message: string; readonly hint: string } | undefined;
  readonly stderr: string;
}

/** Run a command to its end. */
export async function quaymesh(args: readonly string[], options: { readonly input?: string } = {}): Promise<Ended> {
  const child = spawn(process.execPath, [BIN, ...args], { env: environment() });
  const over = new Promise<number | null>((resolve) => child.once("close", resolve));
  // A command that refuses its arguments does not read its input.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  const [stdout, stderr, exit] = await Promise.all([text(child.stdout), text(child.stderr), over]);
  return { exit, stdout, stderr, error: errorIn(stderr) };
}

/** A socket that a command gets as systemd would hand it over. */
export interface InheritedSocket {
  readonly name: string;
  readonly fd: number;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [BIN, ...args, "--json"], { env: { ...environment(), ...env } });
}

// LISTEN_PID is the process's own id, which nobody knows before it runs: so a shell says it and then becomes the process. Without the second start that a checkout otherwise needs, as
// Node closes what it inherited when it does that.
function startActivated(args: readonly string[], sockets: readonly InheritedSocket[]): ChildProcess {
  const names = sockets.map(({ name }) => name).join(":");
  const command = [process.execPath, "-C", "@quaymesh/source", BIN, ...args, "--json"];
  return spawn("/bin/sh", ["-c", 'LISTEN_PID=$$ exec "$@"', "sh", ...command], {
    env: { ...environment(), LISTEN_FDS: String(sockets.length), LISTEN_FDNAMES: names },
    stdio: ["pipe", "pipe", "pipe", ...sockets.map(({ fd }) => fd)],
  });
}

/** A command that goes on; disposing stops it. */
export class Running implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #seen: Line[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #over: Promise<Ended>;
  #ended: Ended | undefined;

  /** Start it; `--json` is added. */
  constructor(
    args: readonly string[],
    options: { readonly sockets?: readonly InheritedSocket[]; readonly env?: NodeJS.ProcessEnv } = {},
  ) {
    const child = options.sockets === undefined ? start(args, options.env) : startActivated(args, options.sockets);
    this.#child = child;
    child.stdin?.on("error", () => {});
    if (child.stdout === null || child.stderr === null) throw new Error("the process has no output");
    const { stdout, stderr: errors } = child;
    createInterface({ input: stdout }).on("line", (line) => {
      if (line.startsWith("{")) this.#seen.push(JSON.parse(line) as Line);
      this.#wake();
    });
    const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
    this.#over = Promise.all([text(errors), closed]).then(([stderr, exit]) => {
      this.#ended = { exit, stdout: "", stderr, error: errorIn(stderr) };
      this.#wake();
      return this.#ended;
    });
  }

  /** The first line, printed already or yet to come, that `wants` accepts. */
  async line(wants: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const found = this.#seen.find(wants);
      if (found !== undefined) return found;
      if (this.#ended !== undefined) throw new Error(`ended with ${this.#ended.exit}: ${this.#ended.stderr}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await promise;
    }
  }

  /** Write a line to its stdin. */
  send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Its process. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Send a signal and wait for the end. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<Ended> {
    this.#child.kill(signal);
    return this.#over;
  }

  /** Wait for the end. */
  async ended(): Promise<Ended> {
    return this.#over;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

/** A directory that goes away with its test. */
export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: (name: string) => string }> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-e2e-"));
  return {
    path: (name) => join(directory, name),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Run a gateway on loopback, on ports the system picks, and wait until it is ready. */
export async function startGateway(state: string, ...more: readonly string[]) {
  const mesh = more.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
  const listen = [...mesh, "--pairing-listen", "127.0.0.1:0"];
  const running = new Running(["gateway", "run", "--state", state, "--mesh", "harbor", ...listen, ...more]);
  const ready = await running.line((line) => line["ready"] === true);
  const [address] = ready["addresses"] as readonly string[];
  return { running, address: String(address), state, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
}

/** Open a pairing window and keep it open. */
export async function openWindow(state: string, ...more: readonly string[]) {
  const pair = new Running(["pair", "--state", state, ...more]);
  const opened = await pair.line((line) => line["state"] === "open");
  return {
    pair,
    link: String(opened["link"]),
    pin: String(opened["pin"]),
    addresses: opened["addresses"] as readonly string[],
    [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
  };
}

/** Pair a node with a gateway, the operator approving unseen. */
export async function pairNode(gatewayState: string, nodeState: string, name: string): Promise<string> {
  await using window = await openWindow(gatewayState, "--name", name, "--auto-approve");
  const joined = await quaymesh(["node", "join", "-", "--state", nodeState, "--json"], { input: window.link });
  if (joined.exit !== 0) throw new Error(`join ended with ${joined.exit}: ${joined.stderr}`);
  await window.pair.ended();
  const last = joined.stdout.trim().split("\n").at(-1) ?? "{}";
  return String((JSON.parse(last) as Line)["deviceId"]);
}

function errorIn(stderr: string): Ended["error"] {
  for (const line of stderr.split("\n").reverse()) {
    if (!line.startsWith('{"error":')) continue;
    return (JSON.parse(line) as { readonly error: NonNullable<Ended["error"]> }).error;
  }
  return undefined;
}

function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("QUAYMESH_") && name !== "NODE_OPTIONS");
  return { ...Object.fromEntries(kept), NO_COLOR: "1" };
}
