/** What a gateway's core says of itself. */
import type { BoundAddress, ListenerStats, SocketAddress } from "@quaymesh/protocol";
import type { IngestStats } from "./events/ingest-gate.ts";
import type { RetentionStats } from "./events/log-keeper.ts";
import type { ScrubStats } from "./events/log-scrub.ts";
import type { Refusal } from "./observe/refusal-log.ts";
import type { SessionStats } from "./sessions/service.ts";
import type { StoreStats } from "./store/port.ts";
import type { LogUsage } from "./store/port-events.ts";
import type { Behind } from "./store/port-lineage.ts";

/** What a gateway is and does. */
export interface GatewayStatus {
  readonly meshId: string;
  readonly logId: string;
  readonly address: SocketAddress;
  readonly startedAt: number;
  readonly revocationEpoch: number;
  readonly devices: number;
  readonly online: number;
  readonly lastOffset: number;
  readonly connections: number;
  readonly refused: Readonly<Record<string, number>>;
  /** What nodes have shown that the store lacks: nobody is served then. */
  readonly behind?: Behind | undefined;
}

/** Whether a gateway can take on work. */
export type Readiness = { readonly kind: "ready" } | { readonly kind: "not-ready"; readonly reason: string };

/** What a gateway counts, as one picture. Counters run since its start. */
export interface GatewayStats {
  readonly startedAt: number;
  /** Of the mesh endpoint. */
  readonly transport: ListenerStats;
  /** Its `refused` and `cut` hold the transport's too. */
  readonly sessions: SessionStats;
  readonly revocationEpoch: number;
  readonly devices: number;
  /** What the event log still holds; 0 where it holds nothing. */
  readonly offsets: { readonly earliest: number; readonly latest: number };
  readonly tasks: { readonly waiting: number; readonly placed: number; readonly retrying: number };
  readonly store: StoreStats;
  /** What the log holds, and how it is kept within its bounds. */
  readonly log: LogUsage & RetentionStats & ScrubStats;
  readonly ingest: IngestStats;
}

/** What only the running core knows of itself, for a doctor. */
export interface CoreDiagnosis {
  /** The gateway's clock, Unix milliseconds. */
  readonly now: number;
  readonly listening: readonly BoundAddress[];
  readonly maxConnections: number;
  /** The chain that handshakes show, PEM. */
  readonly chainPem: string;
  readonly refused: readonly Refusal[];
}
