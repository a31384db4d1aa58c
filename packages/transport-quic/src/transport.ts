import { TransportError } from "@quaymesh/protocol";
import type { Connection, DialOptions, Listener, ListenOptions, SocketAddress, Transport } from "@quaymesh/protocol";
import { isLoopback, isWildcard, printAddress, resolve } from "./address.ts";
import type { IpAddress } from "./address.ts";
import { loadBinding } from "./binding.ts";
import type { NativeConfig } from "./binding.ts";
import { ConfigCache } from "./config.ts";
import { dialAddress } from "./dialer.ts";
import { bindError, unreachable } from "./errors.ts";
import { QuicListener } from "./listener.ts";
import {
  DEFAULT_DATAGRAM_BYTES,
  DIAL_DEFAULTS,
  LOOPBACK_DATAGRAM_BYTES,
  resolveLimits,
  resolveOptions,
} from "./options.ts";
import type { QuicTransportOptions, ResolvedOptions } from "./options.ts";
import { CorkPool, ReadSlab } from "./slabs.ts";
import type { StreamMemory } from "./slabs.ts";
import { UdpSocket } from "./udp-socket.ts";

/**
 * The Transport port over QUIC: quiche through its native binding, and our own endpoint. Holds no socket until it listens or dials.
 * @throws {RangeError} for an option outside its range
 */
export function createQuicTransport(options: QuicTransportOptions = {}): Transport {
  return new QuicTransport(resolveOptions(options));
}

class QuicTransport implements Transport {
  readonly #options: ResolvedOptions;
  readonly #configs = new ConfigCache();
  readonly #memory: StreamMemory;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#memory = { reads: new ReadSlab(), corks: new CorkPool(options.sendBufferBytes) };
  }

  async listen(options: ListenOptions): Promise<Listener> {
    options.signal?.throwIfAborted();
    const binding = await loadBinding();
    const limits = resolveLimits(options.limits);
    const { protocol, credentials, trust } = options;
    const { streamWindowBytes, connectionWindowBytes } = this.#options;
    const configOf = (datagramBytes: number): NativeConfig =>
      this.#configs.get(binding, {
        protocol,
        credentials,
        trust,
        idleTimeoutMs: limits.idleTimeoutMs,
        maxStreams: limits.maxStreams,
        datagramBytes,
        streamWindowBytes,
        connectionWindowBytes,
      });
    const socket = await bind(options.address);
    try {
      const near = this.#datagramBytes("127.0.0.1");
      const far = this.#datagramBytes("");
      const servesLoopback = isLoopback(socket.local.host) || isWildcard(socket.local.host);
      const nearConfig = servesLoopback ? configOf(near) : undefined;
      const farConfig = isLoopback(socket.local.host) ? configOf(near) : configOf(far);
      options.signal?.throwIfAborted();
      return new QuicListener({
        binding,
        socket,
        options: this.#options,
        memory: this.#memory,
        signal: options.signal,
        limits,
        trust,
        credentials,
        resetSecret: options.resetSecret,
        datagramBytes: Math.max(near, far),
        configFor: (host) => (nearConfig !== undefined && isLoopback(host) ? nearConfig : farConfig),
      });
    } catch (error) {
      await socket.close();
      throw error;
    }
  }

  async dial(address: SocketAddress, options: DialOptions): Promise<Connection> {
    options.signal?.throwIfAborted();
    const timeoutMs = options.handshakeTimeoutMs ?? DIAL_DEFAULTS.handshakeTimeoutMs;
    const deadline = performance.now() + timeoutMs;
    const targets = await resolveTargets(address, options.signal);
    let failure: unknown;
    for (const [index, target] of targets.entries()) {
      // A name's later addresses get their share of the time.
      const share = (deadline - performance.now()) / (targets.length - index);
      try {
        return await this.#dialOne(target, options, Math.max(1, share));
      } catch (error) {
        failure = error;
        if (!isWorthTryingNext(error)) throw error;
      }
    }
    throw failure;
  }

  async #dialOne(target: IpAddress, options: DialOptions, handshakeTimeoutMs: number): Promise<Connection> {
    const binding = await loadBinding();
    const { protocol, credentials, trust } = options;
    const { streamWindowBytes, connectionWindowBytes } = this.#options;
    const idleTimeoutMs = options.idleTimeoutMs ?? DIAL_DEFAULTS.idleTimeoutMs;
    const datagramBytes = this.#datagramBytes(target.host);
    const config = this.#configs.get(binding, {
      protocol,
      credentials,
      trust,
      idleTimeoutMs,
      maxStreams: DIAL_DEFAULTS.maxStreams,
      datagramBytes,
      streamWindowBytes,
      connectionWindowBytes,
    });
    return dialAddress({
      binding,
      config,
      address: target,
      serverName: options.serverName,
      trust,
      handshakeTimeoutMs,
      idleTimeoutMs,
      keepAliveMs: this.#options.keepAliveMs,
      probeMs: this.#options.probeMs,
      datagramBytes,
      memory: this.#memory,
      signal: options.signal,
    });
  }

  #datagramBytes(host: string): number {
    if (this.#options.datagramBytes !== "auto") return this.#options.datagramBytes;
    return isLoopback(host) ? LOOPBACK_DATAGRAM_BYTES : DEFAULT_DATAGRAM_BYTES;
  }
}

const isWorthTryingNext = (error: unknown): boolean =>
  error instanceof TransportError && (error.code === "UNREACHABLE" || error.code === "HANDSHAKE_TIMEOUT");

async function bind(address: SocketAddress): Promise<UdpSocket> {
  try {
    const [first] = await resolve(address);
    if (first === undefined) throw new Error("the name has no address");
    return await UdpSocket.bind(first);
  } catch (cause) {
    throw bindError(cause, printAddress(address));
  }
}

async function resolveTargets(address: SocketAddress, signal: AbortSignal | undefined): Promise<IpAddress[]> {
  let targets: IpAddress[];
  try {
    targets = await abortable(resolve(address), signal);
  } catch (cause) {
    signal?.throwIfAborted();
    throw unreachable(cause, printAddress(address));
  }
  if (targets.length === 0) throw unreachable(undefined, printAddress(address));
  return targets;
}

// The resolver itself can't be stopped; its late answer is dropped.
async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
