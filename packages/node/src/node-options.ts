import type { SocketAddress, Transport } from "@quaymesh/protocol";
import type { Clock } from "./clock.ts";
import type { Compress } from "./events/packing.ts";
import type { ExecRule } from "./tasks/exec-policy.ts";
import type { TaskDefinition } from "./tasks/define.ts";

/** A line of what the node has to say about itself. Never holds a secret or a payload. */
export interface NodeLogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  /** Closed and stable: `link.online`, `link.waiting`, `task.started`, `outbox.repaired`, … */
  readonly event: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, string | number>>;
}

/** Options of `Node.open`. */
export interface NodeOptions {
  /** The state directory, as `join` left it. One process at a time uses it. */
  readonly state: string;
  /** How to reach the gateway: `createQuicTransport()` of `@quaymesh/transport-quic`, or any other `Transport`. */
  readonly transport: Transport;
  /** What this node offers to do. */
  readonly tasks?: readonly TaskDefinition[];
  /** Commands the built-in `exec` task may run. Default none, and then `exec` is not offered. */
  readonly exec?: readonly ExecRule[];
  /** Attempts that run at once, all definitions together. Default 8. */
  readonly concurrency?: number;
  /** Attempts that may wait for their turn; beyond it the gateway is told `busy`. Default 16. */
  readonly maxQueuedTasks?: number;
  /** Bytes of events kept on disk until the gateway has them. Default 256 MiB. */
  readonly maxOutboxBytes?: number;
  /** Send large batches of events compressed: `auto` (default) where the link is what holds them up and they shrink, or `never`. */
  readonly compress?: Compress;
  /** What the gateway is told runs here. Default `quaymesh-node/<version>`. */
  readonly software?: string;
  /**
   * Where the gateway of this mesh might be, asked once it is at none of the addresses that are known, each minute at most: a hint that is held to the mesh's root. Default: nowhere.
   */
  readonly elsewhere?: (meshId: string, signal: AbortSignal) => Promise<readonly SocketAddress[]>;
  readonly log?: (line: NodeLogLine) => void;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** Options of `Node.run`. */
export interface RunOptions {
  /** Aborting stops the node as `Node.stop` does. */
  readonly signal?: AbortSignal;
}

/** Options of `Node.stop`. */
export interface StopOptions {
  /** How long running attempts may go on before their signal aborts. Default 5000. */
  readonly graceMs?: number;
  /** How long the outbox may take to reach the gateway after that; what does not stays on disk. Default 5000. */
  readonly flushMs?: number;
}

/** Options of `Node.publish`. */
export interface PublishOptions {
  /**
   * When the promise resolves. `durable` (default): the event is on disk and survives a power cut. `buffered`: the event is with the
   * operating system and survives this process, not a power cut.
   */
  readonly durability?: "durable" | "buffered";
  /** Send it now instead of with the next full batch, or after a second. Default false. */
  readonly flush?: boolean;
}
