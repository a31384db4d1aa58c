import { readFile, rename, writeFile } from "node:fs/promises";
import { formatAddress } from "./address.ts";
import { loadIdentity, type NodeIdentity } from "./identity-file.ts";
import { layoutOf } from "./layout.ts";
import { lockState } from "./lock.ts";
import { decodeSummed, encodeSummed } from "./summed.ts";
import { NodeError } from "../errors.ts";
import type { ThrottledState } from "../events/throttle-notice.ts";
import type { NodeState } from "../link/state.ts";

/** What a node last said of itself. Times are Unix milliseconds. */
export interface ReportedState {
  readonly kind: NodeState["kind"];
  /** When it said so. */
  readonly at: number;
  readonly pid: number;
  /** Events recorded and not yet at the gateway, at that time. */
  readonly unacknowledged: number;
  readonly address?: string;
  readonly sessionEpoch?: number;
  readonly error?: { readonly code: string; readonly message: string };
  /** The gateway took no events then. */
  readonly throttled?: ThrottledState;
}

/** What is known of the node of a state directory, from outside its process. */
export interface NodeStatus {
  readonly identity: NodeIdentity;
  /** Whether a process uses the directory now. */
  readonly isRunning: boolean;
  /** What that process, or the last one, said; absent where none ever ran. */
  readonly reported?: ReportedState;
  /** What it said is there, and cannot be read: `status.json` is damaged. The next change of state replaces it. */
  readonly isReportDamaged: boolean;
}

/** Writes `status.json` as the state changes. A hint for people, so not synced; a failure is let pass. */
export class StatusWriter {
  readonly #path: string;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  /** Never rejects. */
  write(state: NodeState, unacknowledged: number, throttled?: ThrottledState): Promise<void> {
    const report = reportOf(state, unacknowledged);
    const text = encodeSummed({ ...report, ...(throttled !== undefined && { throttled }) });
    this.#writing = this.#writing.then(async () => {
      try {
        await writeFile(`${this.#path}.tmp`, text, { mode: 0o600 });
        await rename(`${this.#path}.tmp`, this.#path);
      } catch {
        // The node's work does not depend on it.
      }
    });
    return this.#writing;
  }
}

/**
 * Look at a node's state directory, whether it runs or not.
 * @throws {NodeError} `NODE_NOT_PAIRED`, `STATE_*`
 */
export async function readNodeStatus(state: string): Promise<NodeStatus> {
  const layout = layoutOf(state);
  const identity = await loadIdentity(layout);
  const text = await readFile(layout.status, "utf8").catch(() => undefined);
  const reported = text === undefined ? undefined : parseReport(text);
  const isReportDamaged = text !== undefined && reported === undefined;
  return { identity, isRunning: isLocked(layout.lock), isReportDamaged, ...(reported !== undefined && { reported }) };
}

function isLocked(path: string): boolean {
  try {
    lockState(path)[Symbol.dispose]();
    return false;
  } catch (cause) {
    if (cause instanceof NodeError && cause.code === "NODE_ALREADY_RUNNING") return true;
    throw cause;
  }
}

function reportOf(state: NodeState, unacknowledged: number): ReportedState {
  const error = state.kind === "waiting" || state.kind === "stopped" ? state.error : undefined;
  return {
    kind: state.kind,
    at: Date.now(),
    pid: process.pid,
    unacknowledged,
    ...(state.kind === "renewing" &&
      state.addresses[0] !== undefined && { address: formatAddress(state.addresses[0]) }),
    ...("address" in state && { address: formatAddress(state.address) }),
    ...(state.kind === "online" && { sessionEpoch: state.sessionEpoch }),
    ...(error !== undefined && { error: { code: error.code, message: error.message } }),
  };
}

const KINDS: ReadonlySet<string> = new Set([
  "idle",
  "dialing",
  "renewing",
  "online",
  "waiting",
  "stopping",
  "stopped",
] satisfies NodeState["kind"][]);

function parseReport(text: string): ReportedState | undefined {
  const fields = decodeSummed(text);
  const value: unknown = typeof fields === "string" ? undefined : Object.fromEntries(fields);
  return isReport(value) ? value : undefined;
}

function isReport(value: unknown): value is ReportedState {
  if (typeof value !== "object" || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  const kind = fields.get("kind");
  return (
    typeof kind === "string" &&
    KINDS.has(kind) &&
    ["at", "pid", "unacknowledged"].every((name) => typeof fields.get(name) === "number") &&
    isThrottled(fields.get("throttled"))
  );
}

function isThrottled(value: unknown): boolean {
  if (value === undefined) return true;
  if (typeof value !== "object" || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  return (
    typeof fields.get("reason") === "string" && ["since", "until"].every((name) => typeof fields.get(name) === "number")
  );
}
