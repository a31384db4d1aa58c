/**
 * The one place that knows which package carries the quiche binding. Nothing else of those packages is loaded: their JavaScript
 * socket layer can be ended by a single datagram (ADR 0002).
 */
import { createRequire } from "node:module";
import { TransportError } from "@quaymesh/protocol";

/** An IP address and port as the binding takes and gives them. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `quiche::Config`: one TLS context and the transport parameters. Shared by all connections of an endpoint. */
export interface NativeConfig {
  grease(on: boolean): void;
  setApplicationProtos(protocols: string[]): void;
  setMaxIdleTimeout(milliseconds: number): void;
  setMaxRecvUdpPayloadSize(bytes: number): void;
  setMaxSendUdpPayloadSize(bytes: number): void;
  setInitialMaxData(bytes: number): void;
  setInitialMaxStreamDataBidiLocal(bytes: number): void;
  setInitialMaxStreamDataBidiRemote(bytes: number): void;
  setInitialMaxStreamDataUni(bytes: number): void;
  setInitialMaxStreamsBidi(streams: number): void;
  setInitialMaxStreamsUni(streams: number): void;
  setMaxConnectionWindow(bytes: number): void;
  setMaxStreamWindow(bytes: number): void;
  setDisableActiveMigration(on: boolean): void;
  /** Also how many paths a connection may have. */
  setActiveConnectionIdLimit(ids: number): void;
  /** Taken over by the connections accepted after it. */
  setStatelessResetToken(token: bigint): void;
}

/** How quiche says a connection ended. */
interface NativeError {
  readonly isApp: boolean;
  readonly errorCode: number;
  readonly reason: Uint8Array;
}

/** `quiche::PathStats`, as far as it is used here. `rtt` in milliseconds. */
interface NativePathStats {
  readonly localHost: HostPort;
  readonly peerHost: HostPort;
  readonly active: boolean;
  readonly rtt: number;
  readonly cwnd: number;
  readonly sentBytes: number;
  readonly recvBytes: number;
  readonly pmtu: number;
  /** Bytes a second. */
  readonly deliveryRate: number;
}

/** `quiche::PathEvent`, as far as it is used here. `PeerMigrated`: the peer is at `new`, which is validated. */
type NativePathEvent =
  | { readonly type: "PeerMigrated"; readonly new: HostPort }
  | { readonly type: "Closed" | "New" | "Validated" | "FailedValidation"; readonly peer: HostPort }
  | { readonly type: "ReusedSourceConnectionId" };

/** `quiche::Stats`, as far as it is used here. */
interface NativeStats {
  /** Packets. */
  readonly recv: number;
  readonly sent: number;
  readonly lost: number;
  readonly sentBytes: number;
  readonly recvBytes: number;
  readonly streamRetransBytes: number;
  /** Milliseconds, 0 for none. */
  readonly peerMaxIdleTimeout: number;
  readonly pathsCount: number;
  /** The longest datagram the peer takes. */
  readonly peerMaxUdpPayloadSize: number;
}

/** `quiche::Connection`. Calls that answer `Done` in Rust give `null`; other errors are thrown with the variant's name as the message. */
export interface NativeConnection {
  recv(datagram: Uint8Array, info: { readonly from: HostPort; readonly to: HostPort }): number;
  send(out: Uint8Array): [number, { readonly to: HostPort }] | null;
  streamRecv(id: number, out: Uint8Array): [number, boolean] | null;
  streamSend(id: number, bytes: Uint8Array, fin: boolean): number | null;
  streamPriority(id: number, urgency: number, incremental: boolean): void;
  streamCapacity(id: number): number;
  /** Whether everything up to the peer's end was read; `true` for an unknown stream too. */
  streamFinished(id: number): boolean;
  /** Whether something can be read now; `false` for an unknown stream. */
  streamReadable(id: number): boolean;
  streamShutdown(id: number, direction: number, code: number): void | null;
  readable(): Iterable<number>;
  isReadable(): boolean;
  peerStreamsLeftBidi(): number;
  timeout(): number | null;
  onTimeout(): void;
  close(application: boolean, code: number, reason: Uint8Array): void | null;
  peerCertChain(): Uint8Array[] | null;
  isEstablished(): boolean;
  isResumed(): boolean;
  isDraining(): boolean;
  isClosed(): boolean;
  isTimedOut(): boolean;
  peerError(): NativeError | null;
  localError(): NativeError | null;
  stats(): NativeStats;
  pathStats(): NativePathStats[];
  sendAckEliciting(): void;
  /** What happened to paths, oldest first; kept until it is taken. */
  pathEventNext(): NativePathEvent | null;
  /** As {@link NativeConnection.send}, on this path alone. Throws for an unknown path. */
  sendOnPath(out: Uint8Array, local: HostPort, peer: HostPort): [number, { readonly to: HostPort }] | null;
  /** Have a challenge sent on a known path. */
  probePath(local: HostPort, peer: HostPort): number;
  /** The peer's connection id, that our datagrams are addressed to. */
  destinationId(): Uint8Array;
}

/** A parsed long header. */
export interface NativeHeader {
  readonly dcid: Uint8Array;
  readonly scid: Uint8Array;
  readonly token?: Uint8Array;
}

/** The binding's functions that are used here. */
export interface Binding {
  readonly Config: {
    withBoringSslCtx(
      verifyPeer: boolean,
      verifyAllowFail: boolean,
      ca: Uint8Array | undefined,
      key: Uint8Array[],
      chain: Uint8Array[],
      signatureAlgorithms: string,
    ): NativeConfig;
  };
  readonly Connection: {
    connect(
      serverName: string,
      scid: Uint8Array,
      local: HostPort,
      remote: HostPort,
      config: NativeConfig,
    ): NativeConnection;
    accept(
      scid: Uint8Array,
      originalDcid: Uint8Array | undefined,
      local: HostPort,
      remote: HostPort,
      config: NativeConfig,
    ): NativeConnection;
  };
  readonly Header: { fromSlice(datagram: Uint8Array, dcidBytes: number): NativeHeader };
  readonly retry: (
    scid: Uint8Array,
    dcid: Uint8Array,
    newScid: Uint8Array,
    token: Uint8Array,
    version: number,
    out: Uint8Array,
  ) => number;
}

/** `quiche::Shutdown`. */
export const SHUTDOWN = { read: 0, write: 1 } as const;

const isBinding = (value: unknown): value is Binding => {
  if (typeof value !== "object" || value === null) return false;
  const names = ["Config", "Connection", "Header", "retry"];
  return names.every((name) => typeof Reflect.get(value, name) === "function");
};

/** Packages that carry a build of the binding, in order of preference. */
export type BindingName = "matrixai" | "infisical";

/** Where a build may be found. */
export interface BindingSource {
  readonly name: BindingName;
  /** What to install. */
  readonly packageName: string;
  readonly load: () => unknown;
}

/** The platform as packages name it. */
export interface Platform {
  readonly os: string;
  readonly cpu: string;
  /** Linux only. */
  readonly libc: "glibc" | "musl" | undefined;
}

/** Every source of the binding for a platform. */
export function bindingSources({ os, cpu }: Pick<Platform, "os" | "cpu">): readonly BindingSource[] {
  return [
    {
      name: "matrixai",
      packageName: "@matrixai/quic",
      load: async () => {
        const module: unknown = await import("@matrixai/quic/native/quiche.js");
        return typeof module === "object" && module !== null ? Reflect.get(module, "default") : undefined;
      },
    },
    {
      // Only the platform package: it holds the same native surface and none of the JavaScript.
      name: "infisical",
      packageName: `@infisical/quic-${os}-${cpu}`,
      load: () => createRequire(import.meta.url)(`@infisical/quic-${os}-${cpu}`),
    },
  ];
}

/**
 * Take the first source that loads.
 * @throws {TransportError} `BINDING_UNAVAILABLE`, saying for each source why not; its cause is an `AggregateError` of the reasons, in order
 */
export async function selectBinding(sources: readonly BindingSource[], platform: () => Platform): Promise<Binding> {
  const causes: Error[] = [];
  for (const { packageName, load } of sources) {
    try {
      const candidate = await load();
      if (isBinding(candidate)) return candidate;
      causes.push(new TypeError(`${packageName} loads, but is not a quiche binding`));
    } catch (cause) {
      causes.push(new Error(`${packageName} does not load`, { cause }));
    }
  }
  const { os, cpu, libc } = platform();
  const where = [os, cpu, ...(libc === undefined ? [] : [libc])].join(" ");
  const names = sources.map(({ packageName }) => packageName).join(" or ");
  const tried = causes.map((cause) => firstLine(cause.cause ?? cause)).join("; ");
  const advice =
    libc === "musl"
      ? "there is no build for musl: use a system with glibc"
      : `install ${names} with optional dependencies, if it has a build for this platform`;
  throw new TransportError("BINDING_UNAVAILABLE", `no QUIC binding loads on ${where}: ${advice} (${tried})`, {
    cause: new AggregateError(causes, "no package has a usable QUIC binding"),
  });
}

const MAX_REASON = 160;

// A failed `require` lists its whole stack of files below the first line.
const firstLine = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0]?.slice(0, MAX_REASON) ?? "";

function thisPlatform(): Platform {
  const { platform: os, arch: cpu } = process;
  if (os !== "linux") return { os, cpu, libc: undefined };
  const report: unknown = process.report.getReport();
  const header: unknown = typeof report === "object" && report !== null ? Reflect.get(report, "header") : undefined;
  const isGlibc = typeof header === "object" && header !== null && Reflect.has(header, "glibcVersionRuntime");
  return { os, cpu, libc: isGlibc ? "glibc" : "musl" };
}

const loading = new Map<string, Promise<Binding>>();

/**
 * Load the binding, once per process and name.
 * @param name `auto`: the first that has a build for this platform
 * @throws {TransportError} `BINDING_UNAVAILABLE` where no package has a build for this platform
 */
export function loadBinding(name: "auto" | BindingName = "auto"): Promise<Binding> {
  const known = loading.get(name);
  if (known !== undefined) return known;
  const sources = bindingSources({ os: process.platform, cpu: process.arch });
  const wanted = sources.filter((source) => name === "auto" || source.name === name);
  // What a system is takes a while to find out, and only an error tells of it.
  const binding = selectBinding(wanted, thisPlatform);
  loading.set(name, binding);
  return binding;
}
