import { CLOSE_CODES } from "@quaymesh/protocol";
import type { Connection, DialOptions, Listener, ListenOptions, SocketAddress, Transport } from "@quaymesh/protocol";
import { isLoopback, isWildcard, printAddress, resolve } from "./address.ts";
import type { IpAddress, Lookup } from "./address.ts";
import { bindAll, closeAll } from "./bind.ts";
import { loadBinding } from "./binding.ts";
import type { NativeConfig } from "./binding.ts";
import { ConfigCache } from "./config.ts";
import { dialAddress } from "./dialer.ts";
import { unreachable } from "./errors.ts";
import { type ConfigFor, Identification, type Shown } from "./identification.ts";
import { QuicListener } from "./listener.ts";
import {
  DEFAULT_DATAGRAM_BYTES,
  DIAL_DEFAULTS,
  LOOPBACK_DATAGRAM_BYTES,
  resolveLimits,
  resolveOptions,
} from "./options.ts";
import type { QuicTransportOptions, ResolvedOptions } from "./options.ts";
import { interleaved, race } from "./race.ts";
import { Tracer } from "./observe/tracer.ts";
import { CorkPool, ReadSlab } from "./slabs.ts";
import type { StreamMemory } from "./slabs.ts";
import { loadBatching } from "./syscalls/batching.ts";
import type { Batching } from "./syscalls/batching.ts";

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
  readonly #tracer: Tracer | undefined;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#tracer = options.trace === undefined ? undefined : new Tracer(options.trace);
    this.#memory = { reads: new ReadSlab(), corks: new CorkPool(options.sendBufferBytes) };
  }

  async listen(options: ListenOptions): Promise<Listener> {
    options.signal?.throwIfAborted();
    const binding = await loadBinding(this.#options.binding);
    const limits = resolveLimits(options.limits);
    const { protocol, credentials, trust } = options;
    const { streamWindowBytes, connectionWindowBytes } = this.#options;
    const configOf = ({ credentials: shown, trust: judged }: Shown, datagramBytes: number): NativeConfig =>
      this.#configs.get(binding, {
        protocol,
        credentials: shown,
        trust: judged,
        idleTimeoutMs: limits.idleTimeoutMs,
        maxStreams: limits.maxStreams,
        datagramBytes,
        streamWindowBytes,
        connectionWindowBytes,
      });
    const asked = "host" in options.address || "fd" in options.address ? [options.address] : options.address;
    const batching = await this.#batching();
    const sockets = await bindAll(asked, { find: this.#options.lookup, socket: { batching } });
    try {
      const near = this.#datagramBytes("127.0.0.1");
      const far = this.#datagramBytes("");
      const hosts = sockets.map(({ socket }) => socket.local.host);
      const configure = (shown: Shown): ConfigFor => {
        const nearConfig = hosts.some((host) => isLoopback(host) || isWildcard(host))
          ? configOf(shown, near)
          : undefined;
        const farConfig = nearConfig !== undefined && hosts.every(isLoopback) ? nearConfig : configOf(shown, far);
        return (host) => (nearConfig !== undefined && isLoopback(host) ? nearConfig : farConfig);
      };
      options.signal?.throwIfAborted();
      return new QuicListener({
        binding,
        sockets,
        options: this.#options,
        memory: this.#memory,
        signal: options.signal,
        limits,
        tracer: this.#tracer,
        identification: new Identification({ credentials, trust }, configure),
        resetSecret: options.resetSecret ?? credentials.keyPem,
        onRefused: options.onRefused,
        datagramBytes: Math.max(near, far),
        isTrusted: (host) => this.#isTrusted(host),
      });
    } catch (error) {
      await closeAll(sockets.map(({ socket }) => socket));
      throw error;
    }
  }

  async dial(address: SocketAddress, options: DialOptions): Promise<Connection> {
    options.signal?.throwIfAborted();
    const timeoutMs = options.handshakeTimeoutMs ?? DIAL_DEFAULTS.handshakeTimeoutMs;
    const deadline = performance.now() + timeoutMs;
    const targets = await resolveTargets(address, this.#options.lookup, options.signal);
    return race(interleaved(targets), {
      attempt: (target, shareMs, signal) => this.#dialOne(target, { ...options, signal }, shareMs),
      discard: (late) => late.close(CLOSE_CODES.ok),
      timeoutMs: Math.max(1, Math.round(deadline - performance.now())),
      signal: options.signal,
    });
  }

  async #dialOne(target: IpAddress, options: DialOptions, handshakeTimeoutMs: number): Promise<Connection> {
    const binding = await loadBinding(this.#options.binding);
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
      isTrusted: this.#isTrusted(target.host),
      batching: await this.#batching(),
      tracer: this.#tracer,
      memory: this.#memory,
      signal: options.signal,
    });
  }

  #batching(): Promise<Batching | undefined> {
    return this.#options.systemCalls === "plain" ? Promise.resolve(undefined) : loadBatching();
  }

  #isTrusted(host: string): boolean {
    return this.#options.datagramBytes === "auto" && isLoopback(host);
  }

  #datagramBytes(host: string): number {
    if (this.#options.datagramBytes !== "auto") return this.#options.datagramBytes;
    return isLoopback(host) ? LOOPBACK_DATAGRAM_BYTES : DEFAULT_DATAGRAM_BYTES;
  }
}

async function resolveTargets(
  address: SocketAddress,
  find: Lookup | undefined,
  signal: AbortSignal | undefined,
): Promise<IpAddress[]> {
  let targets: IpAddress[];
  try {
    targets = await abortable(resolve(address, find), signal);
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
