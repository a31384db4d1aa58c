/** The gateway's core: sessions, ingest, subscriptions, dispatch and revocation over a store and a transport. */
import type {
  BoundAddress,
  Credentials,
  ListenerStats,
  ListenLimits,
  ListenOptions,
  SocketAddress,
  Transport,
} from "@quaymesh/protocol";
import { assembleCore, type CoreParts } from "./assemble-core.ts";
import { sleep, type Clock } from "./clock.ts";
import { createDeviceService } from "./devices/device-service.ts";
import type { DeviceService } from "./devices/service.ts";
import { GatewayError } from "./errors.ts";
import { createEventService } from "./events/event-service.ts";
import type { IngestLimits, IngestStats } from "./events/ingest-gate.ts";
import type { RetentionPolicy, RetentionStats } from "./events/log-keeper.ts";
import type { ScrubStats } from "./events/log-scrub.ts";
import type { EventService } from "./events/service.ts";
import type { LeafCredentials } from "./leaf-clock.ts";
import type { Logger } from "./logger.ts";
import { tellEveryone } from "./mesh/sessions.ts";
import { endOldSessions, endStrangers } from "./mesh/strangers.ts";
import type { MeshNewsDesk } from "./mesh/news.ts";
import type { Refusal } from "./observe/refusal-log.ts";
import { createPolicyService, type PolicyService } from "./policy/policy-service.ts";
import type { SessionService, SessionStats } from "./sessions/service.ts";
import type { Store, StoreStats } from "./store/port.ts";
import type { LogUsage } from "./store/port-events.ts";
import type { Behind } from "./store/port-lineage.ts";
import type { TaskService } from "./tasks/service.ts";
import { createTaskService } from "./tasks/task-service.ts";
import type { CertificateIssuer, GatewayTrust } from "./trust.ts";

/** What {@link GatewayCore.open} takes. The store and the transport stay the caller's to close. */
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
  /** For the start alone; a core that is open is closed by {@link GatewayCore.drain} or {@link GatewayCore.close}. */
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
}

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

/** A gateway without its operator API, pairing endpoint and process: those are the daemon's. */
export class GatewayCore implements AsyncDisposable {
  readonly devices: DeviceService;
  readonly tasks: TaskService;
  readonly events: EventService;
  readonly sessions: SessionService;
  readonly policies: PolicyService;
  readonly #parts: CoreParts;
  readonly #startedAt: number;
  #draining = false;
  #closing: Promise<void> | undefined;

  private constructor(parts: CoreParts) {
    this.#parts = parts;
    this.#startedAt = parts.clock.now();
    const { store, log, pages, holds, access, registry, dispatcher, clock, limits } = parts;
    const signal = parts.closed.signal;
    this.sessions = registry;
    this.devices = createDeviceService(parts);
    this.events = createEventService({ store, log, pages, access, holds, clock, signal });
    this.policies = createPolicyService({ store, access, devices: this.devices, clock });
    this.tasks = createTaskService({
      store,
      dispatcher,
      clock,
      signal,
      hub: parts.hub,
      leaseMs: limits.leaseMs,
      maxUnfinishedTasks: limits.maxUnfinishedTasks,
      isOnline: (deviceId) => registry.isOnline(deviceId),
      resolveDevice: (device) => this.devices.resolve(device),
      refusing: () =>
        this.#draining
          ? new GatewayError("GATEWAY_DRAINING", "the gateway takes no more work")
          : parts.lineage.refusing(),
    });
  }

  /** The first of {@link GatewayCore.addresses}. */
  get address(): SocketAddress {
    return this.#parts.listener.address;
  }

  /** The bound addresses of the mesh endpoint. */
  get addresses(): readonly BoundAddress[] {
    return this.#parts.listener.addresses;
  }

  /**
   * Load trust from the store, adopt what was running, listen.
   * @throws {TransportError} as {@link Transport.listen}; {GatewayError} as the store; rethrows `signal.reason`
   */
  static async open(options: GatewayCoreOptions): Promise<GatewayCore> {
    options.signal?.throwIfAborted();
    return new GatewayCore(await assembleCore(options));
  }

  /** Why nothing may be asked of this gateway; undefined where it may. */
  refusing(): GatewayError | undefined {
    return this.#parts.lineage.refusing();
  }

  /** What the gateway is and does, as one picture. */
  async status(): Promise<GatewayStatus> {
    const { store, registry, meshId, listener } = this.#parts;
    const [devices, revocationEpoch, bounds] = await Promise.all([
      store.devices.list(),
      store.devices.revocationEpoch(),
      store.events.bounds(),
    ]);
    const { online, refused } = registry.stats();
    return {
      meshId,
      logId: store.meta.logId,
      address: this.address,
      startedAt: this.#startedAt,
      revocationEpoch,
      devices: devices.length,
      online,
      lastOffset: bounds.latest,
      connections: listener.stats().connections,
      refused,
      behind: this.#parts.lineage.behind,
    };
  }

  /** Everything that is counted. */
  async stats(): Promise<GatewayStats> {
    const { store, registry, listener, dispatcher, keeper, scrub, ingest } = this.#parts;
    const [devices, revocationEpoch, usage] = await Promise.all([
      store.devices.list(),
      store.devices.revocationEpoch(),
      store.events.usage(),
    ]);
    const { earliest, latest } = usage;
    const offsets = { earliest: earliest > latest ? 0 : earliest, latest };
    return {
      startedAt: this.#startedAt,
      transport: listener.stats(),
      sessions: registry.stats(),
      revocationEpoch,
      devices: devices.length,
      offsets,
      tasks: dispatcher.counts,
      store: store.stats(),
      log: { ...usage, ...keeper.stats, ...scrub.stats },
      ingest: ingest.stats,
    };
  }

  /** The roots of the mesh changed: handshakes from now on are held to these anchors, and sessions of devices whose chain ends elsewhere are ended. */
  trustAnchors(anchorsPem: string): void {
    const { listener, registry, clock, closed } = this.#parts;
    listener.setTrustAnchors(anchorsPem);
    endStrangers(registry, anchorsPem, { clock, signal: closed.signal });
  }

  /** Show this leaf in handshakes from now on. */
  showLeaf(credentials: Credentials): void {
    this.#parts.show(credentials);
  }

  /** The old root is trusted no more: nodes that still trust it begin a new session, in which they learn that. */
  renewSessions(): void {
    endOldSessions(this.#parts.registry, this.#parts);
  }

  /** Tell every node that is online what it has not heard yet of its mesh. */
  tellNews(): void {
    tellEveryone(this.#parts.registry, this.#parts.turns);
  }

  /** What only it knows of itself. */
  diagnosis(): CoreDiagnosis {
    const { clock, listener, maxConnections, shown, refusals } = this.#parts;
    const { chainPem } = shown();
    const listening = listener.addresses;
    return { now: clock.now(), listening, maxConnections, chainPem, refused: refusals.recent() };
  }

  /** Whether new work and connections are taken. */
  get readiness(): Readiness {
    if (this.#draining) return { kind: "not-ready", reason: "the gateway is stopping" };
    if (this.#parts.lineage.behind !== undefined) {
      return { kind: "not-ready", reason: "its state is older than one that nodes have seen" };
    }
    const { state } = this.#parts.store.stats();
    return state === "ok" ? { kind: "ready" } : { kind: "not-ready", reason: `the store is ${state}` };
  }

  /** Refuse new work and connections, tell every node to come back later, and close after `graceMs`. Defaults 1000 and 0. */
  async drain(options: { readonly retryAfterMs?: number; readonly graceMs?: number } = {}): Promise<void> {
    const { endpoint, clock } = this.#parts;
    this.#draining = true;
    endpoint.drain(options.retryAfterMs ?? 1000);
    if ((options.graceMs ?? 0) > 0) await sleep(clock, options.graceMs ?? 0);
    await this.close();
  }

  /** End every session and loop. The store stays open. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const { endpoint, dispatcher, registry, closed, dueClock, stopPushing, keeper, scrub, unwatch } = this.#parts;
    this.#draining = true;
    closed.abort(new GatewayError("GATEWAY_DRAINING", "the gateway is stopping"));
    this.#parts.lineage.close();
    registry.close();
    dispatcher.stopDispatching();
    await endpoint.close();
    await dispatcher.close();
    await dueClock;
    await keeper[Symbol.asyncDispose]();
    await scrub[Symbol.asyncDispose]();
    await stopPushing();
    unwatch();
  }
}
