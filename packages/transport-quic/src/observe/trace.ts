import type { CloseInfo, ConnectionStats, SocketAddress } from "@quaymesh/protocol";
import type { LinkTap } from "../link-ports.ts";
import type { TraceSink } from "./trace-sink.ts";

/** Of the qlog schema that the events follow. draft-ietf-quic-qlog-main-schema. */
const QLOG_VERSION = "0.3";
/** RFC 7464 section 2.2. */
const RECORD_SEPARATOR = "\u001e";
/** Between two looks at the congestion controller. */
const METRICS_EVERY_MS = 10;
/** RFC 9000 section 2.1. */
const UNIDIRECTIONAL = 0b10;

/** What one trace is about. */
export interface TraceSubject {
  readonly role: "dialer" | "listener";
  /** The first destination id of the client, lower-case hex: the connection's name in qlog. */
  readonly originalDcid: string;
  readonly localAddress: SocketAddress;
  readonly remoteAddress: SocketAddress;
}

/** Bounds and clocks of one trace. */
export interface TraceOptions {
  readonly maxBytes: number;
  /** Unix milliseconds. */
  readonly startedAt: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * One connection as qlog events, a JSON text sequence (RFC 7464). Sizes, times, ids and codes: never what was sent, never a token or key. Once `maxBytes` are written the trace says so and
 * keeps only its end.
 */
export class ConnectionTrace implements LinkTap {
  readonly #sink: TraceSink;
  readonly #options: TraceOptions;
  readonly #role: TraceSubject["role"];
  readonly #start: number;
  #bytes = 0;
  #dropped = 0;
  #metricsAt = -Infinity;
  #lastMetrics = "";
  #isOver = false;

  constructor(sink: TraceSink, subject: TraceSubject, options: TraceOptions) {
    this.#sink = sink;
    this.#options = options;
    this.#role = subject.role;
    this.#start = options.now();
    this.#write(headerOf(subject, options.startedAt));
    const { localAddress, remoteAddress } = subject;
    this.#event("connectivity:connection_started", {
      ip_version: remoteAddress.host.includes(":") ? "v6" : "v4",
      src_ip: localAddress.host,
      src_port: localAddress.port,
      dst_ip: remoteAddress.host,
      dst_port: remoteAddress.port,
    });
    this.#event("connectivity:connection_state_updated", { new: "attempted" });
  }

  // LinkTap

  received(bytes: number): void {
    this.#event("transport:datagrams_received", { count: 1, raw: [{ length: bytes }] });
  }

  sent(bytes: number): void {
    this.#event("transport:datagrams_sent", { count: 1, raw: [{ length: bytes }] });
  }

  /** TLS is complete and the peer was accepted. */
  accepted(): void {
    this.#event("connectivity:connection_state_updated", { old: "attempted", new: "handshake_complete" });
    // Only now is the peer somebody: what strangers begin must not fill a disk.
    this.#isOver = !this.#sink.open();
  }

  migrated(from: SocketAddress, to: SocketAddress): void {
    this.#event("connectivity:migration_state_updated", { new: "migration_complete", path_remote: to, from });
  }

  streamOpened(id: number, byPeer: boolean): void {
    this.#event("transport:stream_state_updated", {
      ...stream(id),
      new: "open",
      initiator: byPeer ? "remote" : "local",
    });
  }

  streamEnded(id: number): void {
    this.#event("transport:stream_state_updated", { ...stream(id), new: "closed" });
  }

  /** Whether it is time for {@link ConnectionTrace.metrics}. @param now monotonic milliseconds */
  wantsMetrics(now: number): boolean {
    if (this.#isOver || now - this.#metricsAt < METRICS_EVERY_MS) return false;
    this.#metricsAt = now;
    return true;
  }

  /** What the congestion controller knows; written where it has changed. */
  metrics(stats: ConnectionStats): void {
    const fields = {
      smoothed_rtt: stats.rttMs,
      congestion_window: stats.congestionWindowBytes,
      packets_lost: stats.packetsLost,
      bytes_retransmitted: stats.bytesRetransmitted,
      delivery_rate: stats.deliveryBytesPerSecond,
    };
    const text = JSON.stringify(fields);
    if (text === this.#lastMetrics) return;
    this.#lastMetrics = text;
    this.#event("recovery:metrics_updated", fields);
  }

  /** The connection is over. */
  closed(close: CloseInfo): void {
    if (this.#isOver) return;
    const dropped = this.#dropped + this.#sink.dropped;
    if (dropped > 0) this.#last("quaymesh:trace_truncated", { records_dropped: dropped });
    this.#last("connectivity:connection_closed", closeFields(close, this.#role));
    this.#isOver = true;
    this.#sink.end();
  }

  #event(name: string, data: Fields): void {
    if (this.#isOver) return;
    if (this.#bytes >= this.#options.maxBytes) this.#dropped += 1;
    else this.#last(name, data);
  }

  #last(name: string, data: Fields): void {
    const time = Math.round((this.#options.now() - this.#start) * 1000) / 1000;
    this.#write({ time, name, data });
  }

  #write(record: Fields): void {
    const text = `${RECORD_SEPARATOR}${JSON.stringify(record)}\n`;
    this.#bytes += text.length;
    this.#sink.write(text);
  }
}

const stream = (id: number): Fields => ({
  stream_id: id,
  stream_type: (id & UNIDIRECTIONAL) === 0 ? "bidirectional" : "unidirectional",
});

const headerOf = ({ role, originalDcid }: TraceSubject, startedAt: number): Fields => ({
  qlog_format: "JSON-SEQ",
  qlog_version: QLOG_VERSION,
  title: "quaymesh",
  trace: {
    vantage_point: { name: "quaymesh", type: role === "listener" ? "server" : "client" },
    common_fields: {
      ODCID: originalDcid,
      group_id: originalDcid,
      protocol_type: ["QUIC"],
      time_format: "relative",
      reference_time: startedAt,
    },
  },
});

const closeFields = (close: CloseInfo, role: TraceSubject["role"]): Fields => {
  if (close.kind === "idle") return { trigger: "idle_timeout" };
  if (close.kind === "local") return { owner: "local", trigger: "clean" };
  const code = close.kind === "application" ? { application_code: close.code } : { connection_code: close.code };
  return { owner: close.byPeer ? "remote" : "local", vantage: role, ...code, reason: close.reason };
};
