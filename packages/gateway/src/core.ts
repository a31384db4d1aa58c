/** The gateway's core: sessions, ingest, subscriptions, dispatch and revocation over a store and a transport. */
import type { Credentials, ListenLimits, SocketAddress, Transport } from "@quaymesh/protocol";
import type { Clock } from "./clock.ts";
import type { DeviceService } from "./devices/service.ts";
import { GatewayError } from "./errors.ts";
import type { EventService } from "./events/service.ts";
import type { Logger } from "./logger.ts";
import type { SessionService } from "./sessions/service.ts";
import type { Store } from "./store/port.ts";
import type { TaskService } from "./tasks/service.ts";
import type { CertificateIssuer, GatewayTrust } from "./trust.ts";

/** What {@link GatewayCore.open} takes. The store and the transport stay the caller's to close. */
export interface GatewayCoreOptions {
  readonly store: Store;
  readonly transport: Transport;
  /** The gateway's leaf and its chain. */
  readonly credentials: Credentials;
  /** The mesh root, PEM: what device chains must end at. */
  readonly anchorsPem: string;
  readonly trust: GatewayTrust;
  readonly issuer: CertificateIssuer;
  /** Where the mesh endpoint listens. */
  readonly address: SocketAddress;
  readonly meshId: string;
  readonly limits?: Partial<GatewayLimits>;
  readonly transportLimits?: Partial<ListenLimits>;
  readonly clock?: Clock;
  readonly logger?: Logger;
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
  /** Batches of one node that may wait for their commit. Default 4. */
  readonly maxBatchesInFlight: number;
  /** A subscriber that takes nothing for so long is closed. Default 30000. */
  readonly slowConsumerMs: number;
}

/** A running core. */
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
}

/** A gateway without its operator API, pairing endpoint and process: those are the daemon's. */
export class GatewayCore implements AsyncDisposable {
  readonly devices: DeviceService;
  readonly tasks: TaskService;
  readonly events: EventService;
  readonly sessions: SessionService;
  /** The bound address of the mesh endpoint. */
  readonly address: SocketAddress;

  /** @internal use {@link GatewayCore.open} */
  constructor(parts: {
    readonly devices: DeviceService;
    readonly tasks: TaskService;
    readonly events: EventService;
    readonly sessions: SessionService;
    readonly address: SocketAddress;
  }) {
    this.devices = parts.devices;
    this.tasks = parts.tasks;
    this.events = parts.events;
    this.sessions = parts.sessions;
    this.address = parts.address;
  }

  /**
   * Load trust from the store, adopt what was running, listen.
   * @throws {TransportError} as {@link Transport.listen}; {GatewayError} as the store
   */
  static async open(options: GatewayCoreOptions): Promise<GatewayCore> {
    options.signal?.throwIfAborted();
    await Promise.resolve();
    throw new GatewayError("GATEWAY_INTERNAL", "the core is not assembled yet");
  }

  status(): Promise<GatewayStatus> {
    return Promise.reject(new GatewayError("GATEWAY_INTERNAL", "the core is not assembled yet"));
  }

  /** Refuse new work and connections, tell every node to come back later, wait for what is in flight, at most `graceMs`. */
  async drain(_options?: { readonly retryAfterMs?: number; readonly graceMs?: number }): Promise<void> {
    await this.close();
  }

  /** End every session and loop. The store stays open. Idempotent. */
  async close(): Promise<void> {
    await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
