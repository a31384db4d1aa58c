import type { NodeState } from "@quaymesh/node";
import { readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Context } from "./context.ts";

const FILE = "status.json";

/** What `quaymesh node run` leaves for `quaymesh node status` to read. */
export interface NodeStatusRecord {
  readonly pid: number;
  /** Unix milliseconds. */
  readonly startedAt: number;
  readonly changedAt: number;
  readonly state: NodeState["kind"];
  readonly address: string | undefined;
  readonly mesh: string | undefined;
  readonly sessionEpoch: number | undefined;
  readonly error: { readonly code: string; readonly message: string } | undefined;
}

/** A published status; disposing takes it back. */
export interface StatusPublication extends AsyncDisposable {
  /** Tell readers of a new state; a disk that refuses is no reason to stop the node. */
  readonly update: (state: NodeState) => Promise<void>;
}

/** Publish what this process does in the state directory, replaced as a whole so that no reader sees half of it. */
export async function publishStatus(directory: string, context: Context): Promise<StatusPublication> {
  const path = join(directory, FILE);
  const startedAt = context.now();
  const write = async (record: NodeStatusRecord): Promise<void> => {
    const draft = `${path}.${process.pid}`;
    await writeFile(draft, JSON.stringify(record), { mode: 0o600 });
    await rename(draft, path);
  };
  const update = async (state: NodeState): Promise<void> => {
    const base = { pid: process.pid, startedAt, changedAt: context.now(), state: state.kind };
    await write({ ...base, ...facts(state) }).catch(() => {});
  };
  await update({ kind: "idle" });
  return { update, [Symbol.asyncDispose]: () => unlink(path).catch(() => {}) };
}

/** The status of the process that runs this node; `undefined` where none does, whatever a killed one left behind. */
export async function readStatus(directory: string): Promise<NodeStatusRecord | undefined> {
  const text = await readFile(join(directory, FILE), "utf8").catch(() => "");
  const record = parse(text);
  return record !== undefined && isAlive(record.pid) ? record : undefined;
}

function facts(state: NodeState) {
  const error = "error" in state ? state.error : undefined;
  return {
    address: "address" in state ? `${state.address.host}:${state.address.port}` : undefined,
    mesh: state.kind === "online" ? state.mesh : undefined,
    sessionEpoch: state.kind === "online" ? state.sessionEpoch : undefined,
    error: error === undefined ? undefined : { code: error.code, message: error.message },
  };
}

function parse(text: string): NodeStatusRecord | undefined {
  try {
    const value = JSON.parse(text) as NodeStatusRecord;
    return typeof value.pid === "number" && typeof value.state === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Someone else's process is alive all the same.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
