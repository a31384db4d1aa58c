import type { Credentials, ListenLimits, ListenOptions, Transport } from "@quaymesh/protocol";
import type { Clock } from "./clock.ts";
import type { IngestLimits } from "./events/ingest-gate.ts";
import type { RetentionPolicy } from "./events/log-keeper.ts";
import type { LeafCredentials } from "./leaf-clock.ts";
import type { Logger } from "./logger.ts";
import type { MeshNewsDesk } from "./mesh/news.ts";
import type { Store } from "./store/port.ts";
import type { CertificateIssuer, GatewayTrust } from "./trust.ts";

/** What a gateway's core takes. The store and the transport stay the caller's to close. */
export interface GatewayCoreOptions {
  readonly store: Store;
  readonly transport: Transport;
  /** The gateway's leaf and its chain. */
  readonly credentials: Credentials;
  /** When another is to take its place, and where it comes from. Default: never. */
  readonly leafRenewal?: { readonly renewAt: number; readonly next: () => Promise<LeafCredentials> };
  /** Known to every start of this gateway: its nodes then hear of a crash at once. See `ListenOptions.resetSecret`. */
  readonly resetSecret?: Uint8Array;
  /** The mesh root, PEM: what device chains must end at. */
  readonly anchorsPem: string;
  readonly trust: GatewayTrust;
  readonly issuer: CertificateIssuer;
  /** Where the mesh endpoint listens. */
  readonly address: ListenOptions["address"];
  readonly meshId: string;
  /** What nodes are told of their mesh. Default: nothing. */
  readonly news?: MeshNewsDesk;
  /** Where nodes find the pairing endpoint when it is open, host:port; they are told with each welcome. Default: nowhere. */
  readonly pairingAddresses?: () => readonly string[];
  readonly limits?: Partial<GatewayLimits>;
  readonly transportLimits?: Partial<ListenLimits>;
  /** How long events are kept. Default: for ever. */
  readonly retention?: RetentionPolicy;
  /** How fast one device may publish, and how much of the log it may hold. */
  readonly ingest?: Partial<IngestLimits>;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** For the start alone; a core that is open is closed by its `drain` or `close`. */
  readonly signal?: AbortSignal;
}

/** Bounds of a gateway; every one has a default. */
export interface GatewayLimits {
  /** Interval nodes are told; three missed make a node offline. Default 30000. */
  readonly heartbeatMs: number;
  /** Default 30000. */
  readonly leaseMs: number;
  /** Most unfinished tasks. Default 100000. */
  readonly maxUnfinishedTasks: number;
  /** Batches of one node that may wait for their commit: as many as it sends at once, where they are small. Default 16. */
  readonly maxBatchesInFlight: number;
}
