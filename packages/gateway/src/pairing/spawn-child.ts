import { spawn, type ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";

/** A started process and its pipe. */
export interface SpawnedChild {
  readonly process: ChildProcess;
  readonly pipe: Duplex;
  /** Settles when the process has ended. Never rejects. */
  readonly exited: Promise<void>;
}

/** Environment variables the process gets: nothing an operator may have put secrets into. */
const PASSED_ENVIRONMENT = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ"];

/** How to start the process. */
export interface SpawnOptions {
  readonly heapMib: number;
  /** After the module's name. */
  readonly args: readonly string[];
  /** Descriptors of ours that it gets, from {@link FIRST_INHERITED_FD} on. */
  readonly fds: readonly number[];
}

/**
 * Start the pairing endpoint's process. It may read files (its own code), and under Node's permission model neither write one nor start a process; that
 * keeps honest bugs small, the separate process is what keeps a broken native library in.
 */
export function spawnChild(module: URL, options: SpawnOptions): SpawnedChild {
  const args = [
    ...conditionsOf(process.execArgv),
    ...restrictions(),
    `--max-old-space-size=${options.heapMib}`,
    fileURLToPath(module),
    ...options.args,
  ];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "ignore", "pipe", "pipe", ...options.fds],
    env: Object.fromEntries(PASSED_ENVIRONMENT.map((name) => [name, process.env[name]])),
  });
  const exited = new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("close", () => resolve());
  });
  const pipe = child.stdio[3] as Duplex;
  // A process that died leaves a broken pipe; that it died is seen by its exit.
  pipe.on("error", () => {});
  return { process: child, pipe, exited };
}

function restrictions(): readonly string[] {
  const network = process.allowedNodeEnvironmentFlags.has("--allow-net") ? ["--allow-net"] : [];
  // Node warns that native code is not held by the permission model. It is not; the process is what holds it.
  return ["--permission", "--allow-fs-read=*", "--allow-addons", "--disable-warning=SecurityWarning", ...network];
}

/** How this process resolves modules is how the other one must; none of the other flags are its business. */
function conditionsOf(execArgv: readonly string[]): readonly string[] {
  const passed: string[] = [];
  execArgv.forEach((argument, at) => {
    const value = execArgv[at + 1];
    if ((argument === "-C" || argument === "--conditions") && value !== undefined) passed.push("-C", value);
    if (/^(?:-C|--conditions)=/u.test(argument)) passed.push(argument);
  });
  return passed;
}
