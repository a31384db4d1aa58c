import type { Credentials, Listener } from "@quaymesh/protocol";
import { systemClock, type Clock } from "./clock.ts";
import type { GatewayCoreOptions, GatewayLimits } from "./core-options.ts";
import { Rotations } from "./devices/rotation.ts";
import { IngestGate } from "./events/ingest-gate.ts";
import { LogPace } from "./events/log-pace.ts";
import { TurnShare } from "./events/turn-share.ts";
import { SubscriptionHolds } from "./events/holds.ts";
import { RecentPages } from "./events/recent-pages.ts";
import { SharedReads } from "./events/shared-reads.ts";
import { LogHub } from "./events/log-hub.ts";
import { LogKeeper } from "./events/log-keeper.ts";
import { LogScrub } from "./events/log-scrub.ts";
import { keepLeaf } from "./leaf-clock.ts";
import { silentLogger, type Logger } from "./logger.ts";
import { NO_NEWS } from "./mesh/news.ts";
import { meshTurns, type MeshTurns } from "./mesh/turns.ts";
import { RefusalLog, summarizeRefusals } from "./observe/refusal-log.ts";
import { keepPolicyPushed } from "./policy/push.ts";
import { ReadAccess } from "./policy/read-access.ts";
import { MeshEndpoint } from "./sessions/mesh-endpoint.ts";
import type { LiveSession } from "./sessions/live-session.ts";
import { Lineage } from "./sessions/lineage.ts";
import { SessionRegistry } from "./sessions/registry.ts";
import type { Store } from "./store/port.ts";
import { Dispatcher } from "./tasks/dispatcher.ts";
import { runDueClock } from "./tasks/due-clock.ts";
import { TaskHub } from "./tasks/task-hub.ts";
import type { GatewayTrust } from "./trust.ts";

/** What a running core is made of. */
export interface CoreParts {
  readonly meshId: string;
  readonly store: Store;
  readonly trust: GatewayTrust;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: GatewayLimits;
  readonly log: LogHub;
  readonly ingest: IngestGate;
  readonly keeper: LogKeeper;
  readonly scrub: LogScrub;
  readonly holds: SubscriptionHolds;
  readonly pages: SharedReads;
  readonly share: TurnShare;
  readonly access: ReadAccess;
  readonly hub: TaskHub;
  readonly dispatcher: Dispatcher;
  readonly rotations: Rotations;
  readonly turns: MeshTurns<LiveSession>;
  readonly lineage: Lineage;
  readonly registry: SessionRegistry;
  readonly listener: Listener;
  readonly refusals: RefusalLog;
  /** What handshakes show now. */
  readonly shown: () => Credentials;
  /** Have handshakes from now on show these. */
  readonly show: (credentials: Credentials) => void;
  readonly maxConnections: number;
  readonly endpoint: MeshEndpoint;
  /** Aborts when the core closes. */
  readonly closed: AbortController;
  readonly dueClock: Promise<void>;
  /** Push no more policies. */
  readonly stopPushing: () => Promise<void>;
  /** Stop hearing from the store. */
  readonly unwatch: () => void;
}

/** Bounds that hold where nobody says otherwise. */
const DEFAULT_LIMITS: GatewayLimits = {
  heartbeatMs: 30_000,
  leaseMs: 30_000,
  maxUnfinishedTasks: 100_000,
  maxBatchesInFlight: 16,
};

/** What transports hold where nobody says otherwise: `ListenLimits.maxConnections`. */
const DEFAULT_MAX_CONNECTIONS = 256;

/**
 * A node needs a handful of long streams, one for each attempt and a short one now and then; a device that opens thousands a second keeps the others waiting. More wait their turn, and
 * whoever resets that many is sent away.
 */
const STREAM_LIMITS = { maxStreamsPerSecond: 500, maxResetsPerSecond: 250 } as const;

/** Build the core, in the order in which its parts may begin to act: trust before the first connection, old work before new. */
export async function assembleCore(options: GatewayCoreOptions): Promise<CoreParts> {
  const { store, trust, meshId, clock = systemClock, logger = silentLogger } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { leaseMs } = limits;
  trust.load(await store.devices.trustSnapshot());
  const log = new LogHub((await store.events.bounds()).latest);
  const holds = new SubscriptionHolds();
  const recent = new RecentPages(log);
  const pages = new SharedReads(store.events, recent);
  const share = new TurnShare();
  const access = await ReadAccess.load(store);
  const hub = new TaskHub();
  const dispatcher = new Dispatcher({ store, clock, logger, leaseMs });
  const unwatch = store.watch((change) => {
    // Before whoever it wakes reads.
    access.changed(change);
    if (change.page !== undefined) recent.add(change.page);
    if (change.latest !== undefined) log.appended(change.latest);
    for (const task of change.tasks) {
      dispatcher.changed(task);
      hub.changed(task);
    }
  });
  try {
    await dispatcher.load();
    const refusals = new RefusalLog(logger, clock);
    const listener = await listen(options, refusals);
    const registry = new SessionRegistry({
      clock,
      refused: () => listener.stats().refused,
      cut: () => listener.stats().cut,
    });
    const stopPushing = keepPolicyPushed({ access, registry, logger });
    const rotations = new Rotations();
    const closed = new AbortController();
    const { signal } = closed;
    const turns = meshTurns<LiveSession>({ clock, signal });
    const lineage = await Lineage.open({ store, registry, turns, clock, logger });
    const context = {
      rotations,
      turns,
      news: options.news ?? NO_NEWS,
      lineage,
      store,
      trust,
      issuer: options.issuer,
      registry,
      log,
      ingest: new IngestGate({ store, recent, clock, logger }, options.ingest),
      share,
      pace: new LogPace(clock),
      holds,
      pages,
      access,
      dispatch: dispatcher,
      clock,
      logger,
      meshId,
      pairingAddresses: options.pairingAddresses ?? (() => []),
    };
    let shown = options.credentials;
    const show = (next: Credentials): void => {
      listener.setCredentials(next);
      shown = next;
    };
    const endpoint = new MeshEndpoint(listener, { ...context, ...limits });
    endpoint.start();
    if (options.leafRenewal !== undefined) {
      const { renewAt, next: issue } = options.leafRenewal;
      const first = { credentials: options.credentials, renewAt };
      keepLeaf({ first, next: issue, use: show, clock, logger, signal });
    }
    summarizeRefusals(() => registry.stats(), { logger, clock, signal });
    const dueClock = runDueClock({
      store,
      clock,
      logger,
      leaseMs,
      signal,
      cancel: (taskId, token, reason) => void dispatcher.cancel(taskId, token, reason),
      idle: () => dispatcher.idle,
    });
    const keeper = await LogKeeper.open({ store, policy: options.retention ?? {}, clock, logger });
    const scrub = LogScrub.start({ store, clock, logger });
    return {
      ...context,
      limits,
      keeper,
      scrub,
      hub,
      dispatcher,
      listener,
      refusals,
      shown: () => shown,
      show,
      maxConnections: options.transportLimits?.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
      endpoint,
      closed,
      dueClock,
      stopPushing,
      unwatch,
    };
  } catch (error) {
    unwatch();
    await dispatcher.close();
    throw error;
  }
}

async function listen(options: GatewayCoreOptions, refusals: RefusalLog): Promise<Listener> {
  const { transport, trust, address, credentials, anchorsPem, transportLimits, resetSecret, signal } = options;
  // A listener closes when its signal aborts. Ours is for the start: a gateway that is told to stop tells its nodes first, and closes the listener itself.
  const starting = new AbortController();
  const onAbort = (): void => starting.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await transport.listen({
      address,
      protocol: "quaymesh/1",
      credentials,
      trust: { kind: "anchored", anchorsPem, authorize: refusals.authorizing(trust) },
      onRefused: refusals.refused,
      limits: { ...STREAM_LIMITS, ...transportLimits },
      ...(resetSecret !== undefined && { resetSecret }),
      signal: starting.signal,
    });
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}
