import type { ListenLimits } from "@quaymesh/protocol";
import type { Lookup } from "./address.ts";
import type { BindingName } from "./binding.ts";
import type { QuicTraceOptions } from "./observe/tracer.ts";

/** Options of {@link createQuicTransport}. All have defaults. */
export interface QuicTransportOptions {
  /**
   * UDP payload bytes per datagram, 1200 to 16384: what this end sends at most, and tells its peer to send at most. `auto`: 16384 when both ends are on loopback, 1350 otherwise
   * (the binding cannot discover the path's MTU). Set it for jumbo-frame networks, and lower for tunnels; the smaller of both ends' is used. Where a
   * path turns out to swallow datagrams of that size, a connection goes on with 1350 bytes, then 1200; loopback with `auto` is trusted.
   */
  readonly datagramBytes?: "auto" | number;
  /** Address validation by Retry: `auto` once more than 64 handshakes are half open, or `always` (a round trip more per handshake). */
  readonly retry?: "auto" | "always";
  /** Small writes of one stream are gathered in a buffer of this many bytes, and sent when it is full or the turn ends. Default 16384. */
  readonly sendBufferBytes?: number;
  /** Unread bytes a peer may have in flight on one stream. Default 2 MiB. */
  readonly streamWindowBytes?: number;
  /**
   * The same for all streams of a connection. Default 6 MiB: more than one stream's, or a stream that nobody reads would hold up the others; not
   * much more than the socket's 4-MiB buffer (which the kernel doubles), or a busy process would lose datagrams.
   */
  readonly connectionWindowBytes?: number;
  /** Handshakes one source prefix (IPv4 /32, IPv6 /64) may start; loopback is exempt. Default 64 a second, 256 at once. */
  readonly handshakeBudget?: { readonly perSecond: number; readonly burst: number };
  /** How long a dialer lets a connection be silent before it pings. Default a third of the idle timeout. */
  readonly keepAliveMs?: number;
  /**
   * How often a dialer asks for a sign of life while what it sent is not acknowledged: how soon it notices that the gateway was started again, or that the network is back.
   * Default 1000.
   */
  readonly probeMs?: number;
  /** Which build of the quiche binding to use. `auto`: @matrixai/quic, and where it has none for this platform @infisical/quic. */
  readonly binding?: "auto" | BindingName;
  /** Finds the addresses of names, to listen on and to dial. Default: the system's resolver. */
  readonly lookup?: Lookup;
  /** Write what happens on each connection, as qlog has it. For looking for faults: every datagram is a line. Default: none. */
  readonly trace?: QuicTraceOptions;
  /**
   * `auto`: several datagrams a system call (`sendmmsg` with UDP segmentation, `recvmmsg`), where the platform has them and the optional package `koffi` loads; `plain`: node:dgram alone,
   * one datagram a call.
   */
  readonly systemCalls?: "auto" | "plain";
}

/** {@link QuicTransportOptions} with every default filled in, except where the default depends on other values. */
export interface ResolvedOptions {
  readonly datagramBytes: "auto" | number;
  readonly retry: "auto" | "always";
  readonly sendBufferBytes: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly handshakeBudget: { readonly perSecond: number; readonly burst: number };
  readonly keepAliveMs: number | undefined;
  readonly probeMs: number;
  readonly binding: "auto" | BindingName;
  readonly lookup: Lookup | undefined;
  readonly trace: QuicTraceOptions | undefined;
  readonly systemCalls: "auto" | "plain";
}

/** Off the machine: fits an Ethernet path with room for tunnels. */
export const DEFAULT_DATAGRAM_BYTES = 1350;
/** On loopback, whose MTU is 65536. */
export const LOOPBACK_DATAGRAM_BYTES = 16_384;
/** RFC 9000 section 14.1: no path may carry less. */
export const MIN_DATAGRAM_BYTES = 1200;
/** quiche writes packet lengths in two bytes, and fills 16383 at most. */
const MAX_DATAGRAM_BYTES = 16_384;

const MIB = 1 << 20;

/** Fill in defaults. @throws {RangeError} for a value outside its range */
export function resolveOptions(options: QuicTransportOptions): ResolvedOptions {
  const bytes = options.datagramBytes ?? "auto";
  if (bytes !== "auto" && !(bytes >= MIN_DATAGRAM_BYTES && bytes <= MAX_DATAGRAM_BYTES)) {
    throw new RangeError(`datagramBytes must be ${MIN_DATAGRAM_BYTES} to ${MAX_DATAGRAM_BYTES}, got ${bytes}`);
  }
  const sendBufferBytes = options.sendBufferBytes ?? 16_384;
  if (!(sendBufferBytes >= 1024 && sendBufferBytes <= MIB)) {
    throw new RangeError(`sendBufferBytes must be 1024 to ${MIB}, got ${sendBufferBytes}`);
  }
  return {
    datagramBytes: bytes,
    retry: options.retry ?? "auto",
    sendBufferBytes,
    streamWindowBytes: options.streamWindowBytes ?? 2 * MIB,
    connectionWindowBytes: options.connectionWindowBytes ?? 6 * MIB,
    handshakeBudget: options.handshakeBudget ?? { perSecond: 64, burst: 256 },
    keepAliveMs: options.keepAliveMs,
    probeMs: options.probeMs ?? 1000,
    binding: options.binding ?? "auto",
    lookup: options.lookup,
    trace: options.trace,
    systemCalls: options.systemCalls ?? "auto",
  };
}

/** Of the places, those that handshakes under way may hold. */
const HALF_OPEN_SHARE = 0.5;
const MAX_HALF_OPEN = 1024;
/** A listener for a few connections still lets that many knock at once, where it has the places. */
const MIN_HALF_OPEN = 16;

const DEFAULT_LIMITS: Omit<ListenLimits, "maxHalfOpen"> = {
  maxConnections: 256,
  maxStreams: 1000,
  handshakeTimeoutMs: 3000,
  firstByteTimeoutMs: 2000,
  idleTimeoutMs: 30_000,
  maxStreamsPerSecond: Infinity,
  maxResetsPerSecond: 1000,
  maxStreamsEver: 1 << 20,
};

/** A listener's bounds with their defaults. */
export function resolveLimits(limits: Partial<ListenLimits> | undefined): ListenLimits {
  const resolved = { ...DEFAULT_LIMITS, ...limits };
  const share = Math.max(MIN_HALF_OPEN, Math.ceil(resolved.maxConnections * HALF_OPEN_SHARE));
  const maxHalfOpen = Math.min(share, resolved.maxConnections, MAX_HALF_OPEN);
  return { maxHalfOpen, ...resolved };
}

/** Defaults of a dialer. */
export const DIAL_DEFAULTS = { idleTimeoutMs: 30_000, handshakeTimeoutMs: 5000, maxStreams: 1000 } as const;
