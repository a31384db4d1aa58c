/** A network namespace to flood from. Its name says whose it is, so that what a killed run left behind can be told from what is in use. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const ip = async (...words: readonly string[]): Promise<string> => (await run("ip", words)).stdout;

/** A namespace with one end of a cable. */
export interface Net extends AsyncDisposable {
  /** A command that runs another one inside. */
  readonly command: readonly string[];
  /** Our end of the cable. */
  readonly host: string;
  /** The address of the end inside. */
  readonly source: string;
}

/** `<pid>` follows; with the ends of a cable, within the 15 characters of an interface's name. */
const NAME = "qmflood";
/** No other test takes networks from here. */
const RANGE = "10.204";
const NETS = 256;

/** Whether namespaces can be had: on Linux, by root, with the `ip` command. */
export async function mayMakeNamespaces(): Promise<boolean> {
  const name = `${NAME}${String(process.pid)}`;
  try {
    await sweep();
    await ip("netns", "add", name);
    await ip("netns", "del", name);
    return true;
  } catch {
    return false;
  }
}

/** Make the one namespace of this process, and a cable to it. @throws what `ip` says */
export async function openNamespace(): Promise<Net> {
  const name = `${NAME}${String(process.pid)}`;
  const [ours, theirs] = [`qmf${String(process.pid)}a`, `qmf${String(process.pid)}b`];
  const net = await freeNet();
  await ip("netns", "add", name);
  try {
    await ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name);
    await ip("addr", "add", `${net}.1/24`, "dev", ours);
    await ip("link", "set", ours, "up");
    await ip("-n", name, "addr", "add", `${net}.2/24`, "dev", theirs);
    await ip("-n", name, "link", "set", theirs, "up");
  } catch (error) {
    await ip("netns", "del", name);
    throw error;
  }
  return {
    command: ["ip", "netns", "exec", name],
    host: `${net}.1`,
    source: `${net}.2`,
    async [Symbol.asyncDispose]() {
      // The cable goes with the namespace.
      await ip("netns", "del", name);
    },
  };
}

/** Remove the namespaces of processes that are no more. */
async function sweep(): Promise<void> {
  for (const line of (await ip("netns", "list")).split("\n")) {
    const pid = new RegExp(`^${NAME}(\\d+)\\b`).exec(line)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // Another run may sweep too.
    await ip("netns", "del", `${NAME}${pid}`).catch(() => undefined);
  }
}

// Its pid may have been ours all along: then it is a former process's.
function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The first three numbers of a network that no interface here has. */
async function freeNet(): Promise<string> {
  const taken = await ip("-o", "-4", "addr");
  for (let tried = 0; tried < NETS; tried += 1) {
    const net = `${RANGE}.${String((process.pid + tried) % NETS)}`;
    if (!taken.includes(` ${net}.`)) return net;
  }
  throw new Error(`every network of ${RANGE} is in use`);
}
