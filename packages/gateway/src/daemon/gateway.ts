import type { SealedWith } from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { AdminSocket, assertSocketPath } from "../api/admin-socket.ts";
import { connectError } from "../api/errors.ts";
import type { DaemonStatus } from "../api/gateway-handler.ts";
import { operatorApi } from "../api/operator-api.ts";
import type { RequestListener } from "../api/request-listener.ts";
import { createBackup } from "../backup/create.ts";
import { GatewayError } from "../errors.ts";
import { GatewayMetrics } from "../observe/metrics.ts";
import { ProbeServer } from "../observe/probe-server.ts";
import { withProbes } from "../observe/probes.ts";
import { assertSocketsDiffer } from "./addresses.ts";
import { diagnose } from "./diagnosis.ts";
import { openParts, type GatewayParts } from "./gateway-parts.ts";
import type { GatewayOptions } from "./options.ts";
import { prepareState, removeLeftovers } from "./prepare-state.ts";
import { defaultStateDirectory } from "./state-directory.ts";
import { StateLock } from "./state-lock.ts";

/** What nodes are told when the gateway stops, unless the stopper says otherwise. */
const DEFAULT_RETRY_AFTER_MS = 1_000;

/** Between the `drain` message and the close: a close overtakes what its peer has not read yet. */
const DRAIN_GRACE_MS = 250;

/** A running gateway: mesh endpoint, pairing, store and the admin socket. */
export class Gateway implements AsyncDisposable {
  /** The mesh's id: 16 characters. */
  readonly meshId: string;
  /** What people call the mesh. */
  readonly meshName: string;
  /** The state directory, absolute. */
  readonly state: string;
  /** Where nodes dial, host:port. */
  readonly addresses: readonly string[];
  readonly #parts: GatewayParts;
  readonly #ending = new AbortController();
  readonly #stopped = Promise.withResolvers<void>();
  #socket: AdminSocket | undefined;
  #metricsAddress: SocketAddress | undefined;
  #stopping: Promise<void> | undefined;

  private constructor(parts: GatewayParts) {
    this.#parts = parts;
    this.meshId = parts.authority.meshId;
    this.meshName = parts.authority.meshName;
    this.state = parts.layout.directory;
    this.addresses = parts.addresses;
    // Whoever stops it hears of a failure; `stopped` is for those who wait.
    this.#stopped.promise.catch(() => {});
  }

  /**
   * Start a gateway. The first start makes the mesh's authority; a start that fails or is killed leaves nothing that hinders the next.
   * @throws {GatewayError} `STATE_*`, `GATEWAY_ALREADY_RUNNING`, `AUTHORITY_*`, `STORE_*`, `PORT_IN_USE`, `ADDRESS_UNAVAILABLE`,
   * `TRANSPORT_UNAVAILABLE`, `ADMIN_SOCKET_*`; rethrows `signal.reason`
   */
  static async open(options: GatewayOptions): Promise<Gateway> {
    options.signal?.throwIfAborted();
    assertSocketsDiffer(options.listen ?? [], options.pairing.listen ?? []);
    const layout = await prepareState(options.state ?? defaultStateDirectory(), {
      parents: options.state === undefined,
    });
    if (options.adminSocket === undefined) assertSocketPath(layout.adminSocket);
    await using resources = new AsyncDisposableStack();
    resources.use(await StateLock.acquire(layout));
    await removeLeftovers(layout);
    const gateway = new Gateway(await openParts(options, layout, resources));
    try {
      await gateway.#serve();
    } catch (cause) {
      await gateway.#parts.resources.disposeAsync();
      throw cause;
    }
    gateway.#stopOn(options.signal);
    // Without its store a gateway could admit devices and not revoke one: it must not go on.
    void gateway.#parts.storeBroken.then((error) => gateway.#giveUp(error));
    gateway.#parts.logger.info(
      { meshId: gateway.meshId, mesh: gateway.meshName, addresses: gateway.addresses, socket: gateway.adminSocket },
      "the gateway runs",
    );
    return gateway;
  }

  /** Where the pairing endpoint listens now, host:port; none while it is closed. */
  get openPairing(): readonly string[] {
    const { pairing } = this.#parts;
    return pairing.endpointHealth.pid === undefined ? [] : pairing.addresses;
  }

  /** Path of the admin socket. */
  get adminSocket(): string {
    return this.#socket?.path ?? this.#parts.layout.adminSocket;
  }

  /** Where metrics are served over HTTP, with the real port; `undefined` where they are on the admin socket alone. */
  get metricsAddress(): SocketAddress | undefined {
    return this.#metricsAddress;
  }

  /** Settles when the gateway has stopped; rejects where stopping failed, or where it had to stop because its store broke. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /**
   * Resolves once the gateway has stopped: because `signal` aborted, or it was told to.
   * @throws {GatewayError} `STORE_FAILED` where it stopped because its store broke
   */
  async run(options?: { readonly signal?: AbortSignal }): Promise<void> {
    this.#stopOn(options?.signal);
    await this.stopped;
  }

  /**
   * Stop: calls end, nodes are told when to come back, everything is committed, and the state is let go. Idempotent.
   * @param options.retryAfterMs what nodes are told; default 1000
   */
  stop(options?: { readonly retryAfterMs?: number }): Promise<void> {
    this.#stopping ??= this.#stop(options?.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS).then(
      () => this.#stopped.resolve(),
      (cause: unknown) => {
        this.#stopped.reject(cause);
        throw cause;
      },
    );
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Stop because it cannot go on; whoever waits for the end hears why. */
  #giveUp(reason: GatewayError): void {
    this.#stopping ??= this.#stop(DEFAULT_RETRY_AFTER_MS).then(
      () => this.#stopped.reject(reason),
      // What fails on the way down does so because of the store.
      () => this.#stopped.reject(reason),
    );
  }

  async #serve(): Promise<void> {
    const { core, mesh, pairing, layout, adminSocket, logger } = this.#parts;
    const stats = () => core.stats();
    const daemon = {
      status: () => this.#status(),
      stats,
      diagnosis: () => diagnose(this.#parts),
      requestStop: () => this.#stopSoon(),
      backup: (sealing: SealedWith) => this.#backup(sealing),
    };
    const listener = operatorApi(
      { daemon, mesh, pairing, devices: core.devices, events: core.events, tasks: core.tasks, policies: core.policies },
      { logger, caller: { role: "admin", name: "admin-socket" }, shutdownSignal: this.#ending.signal },
    );
    const probed = await this.#serveProbes(listener);
    this.#socket = await AdminSocket.listen(adminSocket ?? layout.adminSocket, probed);
    this.#parts.resources.use(this.#socket);
  }

  /** @returns `listener` with the probes before it */
  async #serveProbes(listener: RequestListener): Promise<RequestListener> {
    const { core, logger, resources, version, metrics: address } = this.#parts;
    const metrics = new GatewayMetrics({ version, stats: () => core.stats() });
    resources.defer(() => metrics.close());
    const probes = { metrics, readiness: () => core.readiness, logger };
    if (address !== undefined) {
      const server = resources.use(await ProbeServer.listen(address, probes));
      this.#metricsAddress = server.address;
    }
    return withProbes(probes, listener);
  }

  async #status(): Promise<DaemonStatus> {
    const { authority, core, pairing, addresses, version } = this.#parts;
    return {
      ...(await core.status()),
      meshName: this.meshName,
      version,
      meshAddresses: addresses,
      rootFingerprint: Buffer.from(authority.rootSpkiSha256).toString("hex"),
      pairingOpen: pairing.isOpen,
    };
  }

  #backup(sealing: SealedWith): AsyncIterable<Uint8Array> {
    const { layout, keys, version, clock } = this.#parts;
    return createBackup({ layout, keys, sealing, version, now: clock.now() });
  }

  /** The caller's own connection is among what stops, so its answer goes first. */
  #stopSoon(): void {
    setImmediate(() => void this.stop().catch(() => {}));
  }

  #stopOn(signal: AbortSignal | undefined): void {
    const stop = () => void this.stop().catch(() => {});
    if (signal?.aborted === true) stop();
    signal?.addEventListener("abort", stop, { once: true });
    void this.#stopped.promise.catch(() => {}).finally(() => signal?.removeEventListener("abort", stop));
  }

  async #stop(retryAfterMs: number): Promise<void> {
    const { core, pairing, logger, resources } = this.#parts;
    logger.info({ retryAfterMs }, "the gateway stops");
    const draining = new GatewayError("GATEWAY_DRAINING", "the gateway is stopping");
    const closed = this.#socket?.close();
    this.#ending.abort(connectError(draining));
    try {
      await closed;
      await pairing[Symbol.asyncDispose]();
      await core.drain({ retryAfterMs, graceMs: DRAIN_GRACE_MS });
    } finally {
      await resources.disposeAsync();
    }
  }
}
