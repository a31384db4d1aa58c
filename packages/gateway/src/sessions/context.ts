import type { Capability, RunningAttempt } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import type { Store } from "../store/port.ts";
import type { CertificateIssuer, GatewayTrust } from "../trust.ts";
import type { Rotations } from "../devices/rotation.ts";
import type { IngestGate } from "../events/ingest-gate.ts";
import type { MeshNewsDesk } from "../mesh/news.ts";
import type { MeshTurns } from "../mesh/turns.ts";
import type { SubscriptionHolds } from "../events/holds.ts";
import type { LogHub } from "../events/log-hub.ts";
import type { LogPace } from "../events/log-pace.ts";
import type { TurnShare } from "../events/turn-share.ts";
import type { Lineage } from "./lineage.ts";
import type { SharedReads } from "../events/shared-reads.ts";
import type { ReadAccess } from "../policy/read-access.ts";
import type { LiveSession } from "./live-session.ts";
import type { SessionRegistry } from "./registry.ts";

/** What every session works with. */
export interface SessionContext {
  readonly store: Store;
  readonly trust: GatewayTrust;
  readonly issuer: CertificateIssuer;
  readonly registry: SessionRegistry;
  readonly log: LogHub;
  readonly ingest: IngestGate;
  /** What a device may have done for its events in one turn. */
  readonly share: TurnShare;
  /** When what a device does may be said in the log again. */
  readonly pace: LogPace;
  /** Who reads durable subscriptions. */
  readonly holds: SubscriptionHolds;
  readonly pages: SharedReads;
  /** What devices may read of the log. */
  readonly access: ReadAccess;
  readonly dispatch: DispatchPort;
  readonly rotations: Rotations;
  readonly news: MeshNewsDesk;
  readonly turns: MeshTurns<LiveSession>;
  readonly lineage: Lineage;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meshId: string;
  /** Of the pairing endpoint, host:port. */
  readonly pairingAddresses: () => readonly string[];
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  readonly maxBatchesInFlight: number;
}

/** What sessions tell the dispatcher. */
export interface DispatchPort {
  online(session: LiveSession, capabilities: readonly Capability[], labels: readonly string[]): void;
  offline(session: LiveSession): void;
  capabilities(session: LiveSession, capabilities: readonly Capability[]): void;
  /** Attempts the node should stop; those it can be told of on their stream are, the others are returned to be fenced. */
  stop(attempts: readonly AttemptToStop[]): readonly AttemptToStop[];
  /** A heartbeat: what the node says it runs. An attempt of its that is not among them, and has no stream, ends unless its result comes. */
  listed(session: LiveSession, running: readonly Pick<RunningAttempt, "taskId" | "token">[]): void;
}

/** An attempt that a node should stop. */
export interface AttemptToStop {
  readonly taskId: string;
  readonly token: number;
  /** As `cancel` carries it. */
  readonly reason: string;
}
