/** What the gateway counts, for Prometheus. Names and labels are documented in docs/observability.md, and stay. */
import { LISTENER_CUTS, LISTENER_REFUSALS } from "@quaymesh/protocol";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import type { GatewayStats } from "../core-views.ts";
import { SESSION_CUTS } from "../sessions/service.ts";

/** What {@link GatewayMetrics} asks of the daemon. */
export interface MetricsSource {
  readonly version: string;
  /** Everything as of now; asked once for each scrape. */
  stats(): Promise<GatewayStats>;
}

type Read = (stats: GatewayStats) => number;
type ReadByLabel = (stats: GatewayStats) => Readonly<Record<string, number>>;

/** A metric with one value. */
interface Single {
  readonly name: string;
  readonly help: string;
  readonly read: Read;
}

const GAUGES: readonly Single[] = [
  {
    name: "connections",
    help: "Connections held, half-open and draining ones counted",
    read: (s) => s.transport.connections,
  },
  { name: "half_open_handshakes", help: "Handshakes under way", read: (s) => s.transport.halfOpen },
  { name: "sessions", help: "Devices online", read: (s) => s.sessions.online },
  { name: "devices", help: "Devices known, revoked ones counted", read: (s) => s.devices },
  { name: "revocation_epoch", help: "Revocations so far", read: (s) => s.revocationEpoch },
  { name: "event_log_first_offset", help: "Oldest event the log holds", read: (s) => s.offsets.earliest },
  { name: "event_log_last_offset", help: "Newest event of the log", read: (s) => s.offsets.latest },
  { name: "event_log_bytes", help: "What the events of the log count for", read: (s) => s.log.bytes },
  { name: "event_log_file_bytes", help: "The database file", read: (s) => s.log.fileBytes },
  { name: "event_log_free_bytes", help: "What of the database file is free for reuse", read: (s) => s.log.freeBytes },
  {
    name: "event_log_oldest_timestamp_seconds",
    help: "When the oldest event came, Unix time; 0 in an empty log",
    read: (s) => (s.log.oldestAt ?? 0) / 1000,
  },
  {
    name: "event_log_held",
    help: "Durable subscriptions that keep what the bounds of the log would let go",
    read: (s) => s.log.heldBy.length,
  },
  {
    name: "retention_clock_behind_seconds",
    help: "How far retention is behind the wall clock",
    read: (s) => s.log.clockBehindMs / 1000,
  },
  { name: "event_log_damaged_events", help: "Events that are not what was stored", read: (s) => s.log.damaged },
  { name: "ingest_waiting_batches", help: "Batches that wait for their turn", read: (s) => s.ingest.waiting },
  { name: "store_queued_writes", help: "Writes that wait for their commit", read: (s) => s.store.queued },
  { name: "store_ok", help: "1 while the store takes writes", read: (s) => (s.store.state === "ok" ? 1 : 0) },
  { name: "start_time_seconds", help: "Start of the gateway, Unix time", read: (s) => s.startedAt / 1000 },
];

const COUNTERS: readonly Single[] = [
  { name: "connections_accepted_total", help: "Connections accepted", read: (s) => s.transport.accepted },
  {
    name: "streams_throttled_turns_total",
    help: "Turns in which a peer's new streams had to wait",
    read: (s) => s.transport.throttled,
  },
  { name: "datagrams_received_total", help: "UDP datagrams received", read: (s) => s.transport.datagramsReceived },
  { name: "datagrams_sent_total", help: "UDP datagrams sent", read: (s) => s.transport.datagramsSent },
  { name: "received_bytes_total", help: "UDP payload received", read: (s) => s.transport.bytesReceived },
  { name: "sent_bytes_total", help: "UDP payload sent", read: (s) => s.transport.bytesSent },
  { name: "send_errors_total", help: "Datagrams the kernel did not take", read: (s) => s.transport.sendErrors },
  { name: "sessions_opened_total", help: "Sessions welcomed", read: (s) => s.sessions.opened },
  {
    name: "sessions_superseded_total",
    help: "Sessions that a newer one of the same device took over",
    read: (s) => s.sessions.superseded,
  },
  { name: "sessions_revoked_total", help: "Sessions cut by a revocation", read: (s) => s.sessions.revoked },
  { name: "events_dropped_total", help: "Events that retention dropped", read: (s) => s.log.dropped },
  { name: "subscriptions_lapsed_total", help: "Durable subscriptions that lapsed", read: (s) => s.log.lapsed },
  { name: "store_writes_total", help: "Writes answered by the store", read: (s) => s.store.units },
];

// Reasons that never came up are 0 from the start: a rate over a series that appears with its first event misses that event.
const zeros = (reasons: readonly string[]): Record<string, number> =>
  Object.fromEntries(reasons.map((reason) => [reason, 0]));

const REFUSED: ReadByLabel = (s) => ({ ...zeros([...LISTENER_REFUSALS, "opening"]), ...s.sessions.refused });
const CUT: ReadByLabel = (s) => ({ ...zeros([...LISTENER_CUTS, ...SESSION_CUTS]), ...s.sessions.cut });

const THROTTLED: ReadByLabel = ({ ingest }) => ({ rate: ingest.throttledRate, quota: ingest.throttledQuota });

/** The registry of one gateway, filled when it is scraped: counting costs nothing between scrapes. */
export class GatewayMetrics {
  readonly #registry = new Registry();
  readonly #source: MetricsSource;
  readonly #fill: ((stats: GatewayStats) => void)[] = [];

  constructor(source: MetricsSource) {
    this.#source = source;
    collectDefaultMetrics({ register: this.#registry });
    const info = new Gauge({ ...this.#about("build_info", "Version of the gateway"), labelNames: ["version"] });
    info.set({ version: source.version }, 1);
    for (const { name, help, read } of GAUGES) this.#gauge(name, help, read);
    for (const { name, help, read } of COUNTERS) this.#counter(name, help, (stats) => ({ "": read(stats) }));
    this.#counter("connections_refused_total", "Datagrams and clients turned away, by reason", REFUSED, "reason");
    this.#counter(
      "connections_cut_total",
      "Connections and streams that were let in and ended by a limit",
      CUT,
      "reason",
    );
    this.#counter(
      "ingest_throttled_total",
      "Batches of events that their device was told to send later",
      THROTTLED,
      "reason",
    );
    const tasks = new Gauge({ ...this.#about("tasks", "Unfinished tasks, by where they are"), labelNames: ["place"] });
    this.#fill.push((stats) => {
      for (const [place, value] of Object.entries(stats.tasks)) tasks.set({ place }, value);
    });
  }

  /** Content type of {@link GatewayMetrics.text}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The exposition text as of now. Rejects where the store cannot be asked. */
  async text(): Promise<string> {
    const stats = await this.#source.stats();
    // In one go: two scrapes at a time must not mix their pictures.
    for (const fill of this.#fill) fill(stats);
    return await this.#registry.metrics();
  }

  /** Release what measures the process. */
  close(): void {
    this.#registry.clear();
  }

  #about(name: string, help: string): { name: string; help: string; registers: Registry[] } {
    return { name: `quaymesh_${name}`, help, registers: [this.#registry] };
  }

  #gauge(name: string, help: string, read: Read): void {
    const gauge = new Gauge(this.#about(name, help));
    this.#fill.push((stats) => gauge.set(read(stats)));
  }

  // The totals are kept elsewhere, so a counter of ours is set, not raised.
  #counter(name: string, help: string, read: ReadByLabel, label?: string): void {
    const counter = new Counter({ ...this.#about(name, help), labelNames: label === undefined ? [] : [label] });
    this.#fill.push((stats) => {
      counter.reset();
      for (const [value, total] of Object.entries(read(stats))) {
        if (label === undefined) counter.inc(total);
        else counter.inc({ [label]: value }, total);
      }
    });
  }
}
