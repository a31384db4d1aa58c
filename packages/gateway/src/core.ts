/** The gateway's core: sessions, ingest, subscriptions, dispatch and revocation over a store and a transport. */
import type { BoundAddress, Credentials, SocketAddress } from "@quaymesh/protocol";
import { assembleCore, type CoreParts } from "./assemble-core.ts";
import { sleep } from "./clock.ts";
import type { GatewayCoreOptions } from "./core-options.ts";
import type { CoreDiagnosis, GatewayStats, GatewayStatus, Readiness } from "./core-views.ts";
import { createDeviceService } from "./devices/device-service.ts";
import type { DeviceService } from "./devices/service.ts";
import { GatewayError } from "./errors.ts";
import { createEventService } from "./events/event-service.ts";
import type { EventService } from "./events/service.ts";
import { tellEveryone } from "./mesh/sessions.ts";
import { endOldSessions, endStrangers } from "./mesh/strangers.ts";
import { createPolicyService, type PolicyService } from "./policy/policy-service.ts";
import type { SessionService } from "./sessions/service.ts";
import type { TaskService } from "./tasks/service.ts";
import { createTaskService } from "./tasks/task-service.ts";

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
    const { store, log, pages, holds, share, access, registry, dispatcher, clock, limits } = parts;
    const signal = parts.closed.signal;
    this.sessions = registry;
    this.devices = createDeviceService(parts);
    this.events = createEventService({ store, log, pages, access, share, holds, clock, signal });
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
      store.devices.count(),
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
      devices,
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
      store.devices.count(),
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
      devices,
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
