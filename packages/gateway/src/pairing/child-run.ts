import type { BoundAddress, Credentials, ListenAddress } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { encodeLine, FIRST_INHERITED_FD, parseReport, type ChildOrder, type ChildReport } from "./child-protocol.ts";
import type { EndpointLimits } from "./limits.ts";
import { readLines } from "./line-pipe.ts";
import { spawnChild, type SpawnedChild } from "./spawn-child.ts";

/** A device on the pairing endpoint, as its process describes it. */
export interface RemotePeer {
  /** Unique in this gateway's life. */
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the SubjectPublicKeyInfo of the key it showed in TLS. */
  readonly spkiSha256: Uint8Array;
}

/** Told what peers do, in order. Frames are bodies as the process passed them on: nothing of them is believed yet. */
export interface PeerListener {
  onPeer(peer: RemotePeer, firstFrame: Uint8Array): void;
  onFrame(peer: string, frame: Uint8Array): void;
  onGone(peer: string): void;
}

/** Options of {@link ChildRun.start}. */
export interface ChildRunOptions {
  readonly childModule: URL;
  readonly childArguments: readonly string[];
  readonly addresses: readonly ListenAddress[];
  readonly credentials: Credentials;
  readonly limits: EndpointLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly peers: PeerListener;
  readonly generation: number;
}

/** Reports a sound process has no reason to exceed: 8 peers with a handful of frames each. */
const MAX_REPORTS_PER_BEAT = 512;
/** How long a process that was told to stop may take. */
const STOP_GRACE_MS = 3_000;
/** Bytes of its standard error that reach the log. */
const MAX_STDERR_BYTES = 8_192;

/** One life of the pairing process. */
export class ChildRun {
  /** Where it listens. */
  readonly addresses: readonly BoundAddress[];
  readonly pid: number | undefined;
  /** Settles with the reason when this life is over. Never rejects. */
  readonly ended: Promise<string>;
  readonly #child: SpawnedChild;
  readonly #generation: number;
  readonly #peers: Set<string>;
  readonly #startedAt: number;
  readonly #clock: Clock;

  private constructor(parts: {
    readonly child: SpawnedChild;
    readonly addresses: readonly BoundAddress[];
    readonly ended: Promise<string>;
    readonly peers: Set<string>;
    readonly options: ChildRunOptions;
  }) {
    this.#child = parts.child;
    this.addresses = parts.addresses;
    this.pid = parts.child.process.pid;
    this.ended = parts.ended;
    this.#peers = parts.peers;
    this.#generation = parts.options.generation;
    this.#clock = parts.options.clock;
    this.#startedAt = parts.options.clock.monotonicMs();
  }

  /** @throws {GatewayError} `PAIRING_PORT_IN_USE`, `PAIRING_UNAVAILABLE` */
  static async start(options: ChildRunOptions): Promise<ChildRun> {
    const { addresses, limits } = options;
    const fds = addresses.flatMap((each) => ("fd" in each ? [each.fd] : []));
    const child = spawnChild(options.childModule, { heapMib: limits.heapMib, args: options.childArguments, fds });
    logErrors(child, options.logger);
    const peers = new Set<string>();
    const started = Promise.withResolvers<readonly BoundAddress[]>();
    const reading = new ReportReader(child, options, peers, started);
    const ended = reading.run().then(async (why) => {
      child.process.kill("SIGKILL");
      await child.exited;
      started.reject(unavailable(why));
      for (const peer of peers) options.peers.onGone(peer);
      peers.clear();
      return why;
    });
    const { keyPem, chainPem } = options.credentials;
    const { maxConnections } = limits;
    const theirs = addresses.map((each) => ("fd" in each ? { fd: FIRST_INHERITED_FD + fds.indexOf(each.fd) } : each));
    child.pipe.write(encodeLine({ kind: "listen", addresses: theirs, keyPem, chainPem, maxConnections }));
    return new ChildRun({ child, addresses: await started.promise, ended, peers, options });
  }

  /** Whether it has run long enough that its end is no sign that it cannot run. */
  get wasSound(): boolean {
    return this.#clock.monotonicMs() - this.#startedAt > 30_000;
  }

  has(peer: string): boolean {
    return this.#peers.has(peer);
  }

  send(peer: string, frame: Uint8Array): void {
    this.#order({ kind: "send", id: this.#idOf(peer), frame: base64(frame) });
  }

  end(peer: string, frame: Uint8Array): void {
    this.#order({ kind: "end", id: this.#idOf(peer), frame: base64(frame) });
  }

  drop(peer: string): void {
    this.#order({ kind: "drop", id: this.#idOf(peer) });
  }

  /** Ask it to stop, then make it. Resolves when the process has ended and the port is free. Idempotent. */
  async stop(): Promise<void> {
    this.#order({ kind: "stop" });
    const kill = setTimeout(() => this.#child.process.kill("SIGKILL"), STOP_GRACE_MS);
    await this.#child.exited;
    clearTimeout(kill);
    await this.ended;
  }

  #order(order: ChildOrder): void {
    if (this.#child.pipe.writable) this.#child.pipe.write(encodeLine(order));
  }

  #idOf(peer: string): number {
    return Number(peer.slice(`${this.#generation}.`.length));
  }
}

/** Reads a process's reports, trusts none, and says why it stopped. */
class ReportReader {
  readonly #child: SpawnedChild;
  readonly #options: ChildRunOptions;
  readonly #peers: Set<string>;
  readonly #started: PromiseWithResolvers<readonly BoundAddress[]>;
  #cancelWatch: () => void = () => {};
  #silent = false;
  #listening = false;
  #sinceBeat = 0;

  constructor(
    child: SpawnedChild,
    options: ChildRunOptions,
    peers: Set<string>,
    started: PromiseWithResolvers<readonly BoundAddress[]>,
  ) {
    this.#child = child;
    this.#options = options;
    this.#peers = peers;
    this.#started = started;
  }

  async run(): Promise<string> {
    this.#watch(this.#options.limits.startMs);
    try {
      for await (const line of readLines(this.#child.pipe)) {
        const fault = this.#take(parseReport(line));
        if (fault !== undefined) return fault;
      }
      return this.#silent ? "it was silent for too long" : "it exited";
    } catch (cause) {
      return String(cause);
    } finally {
      this.#cancelWatch();
    }
  }

  /** Kill it unless it is heard of in time: one that hangs holds the pipe open for ever. */
  #watch(silenceMs: number): void {
    this.#cancelWatch();
    this.#cancelWatch = this.#options.clock.after(silenceMs, () => {
      this.#silent = true;
      this.#child.process.kill("SIGKILL");
    });
  }

  /** @returns why the process must go, if it must */
  #take(report: ChildReport | undefined): string | undefined {
    if (report === undefined) return "it reported what no sound process reports";
    this.#sinceBeat += 1;
    if (this.#sinceBeat > MAX_REPORTS_PER_BEAT) return "it reported too much";
    this.#listening ||= report.kind === "listening";
    if (this.#listening) this.#watch(this.#options.limits.silenceMs);
    switch (report.kind) {
      case "beat":
        this.#sinceBeat = 0;
        return undefined;
      case "listening":
        return this.#listens(report.addresses);
      case "failed":
        this.#started.reject(startError(report.code, report.message));
        return `it could not listen: ${report.code}`;
      default:
        return this.#takePeer(report);
    }
  }

  #listens(addresses: Extract<ChildReport, { kind: "listening" }>["addresses"]): string | undefined {
    const bound = addresses.flatMap(({ host, port, at }) => {
      const asked = this.#options.addresses[at];
      return asked === undefined ? [] : [{ host, port, asked }];
    });
    if (bound.length === 0) return "it listens where it was not told to";
    this.#started.resolve(bound);
    return undefined;
  }

  #takePeer(report: Extract<ChildReport, { readonly id: number }>): string | undefined {
    const { peers: listener, limits, generation } = this.#options;
    const id = `${generation}.${report.id}`;
    switch (report.kind) {
      case "peer": {
        if (this.#peers.has(id) || this.#peers.size >= limits.maxConnections) return "it has more peers than it may";
        this.#peers.add(id);
        const spkiSha256 = new Uint8Array(Buffer.from(report.spki, "hex"));
        listener.onPeer({ id, host: report.host, port: report.port, spkiSha256 }, bytesOf(report.frame));
        return undefined;
      }
      case "frame":
        if (!this.#peers.has(id)) return "it reported a frame of nobody";
        listener.onFrame(id, bytesOf(report.frame));
        return undefined;
      case "gone":
        if (this.#peers.delete(id)) listener.onGone(id);
        return undefined;
      default:
        return report satisfies never;
    }
  }
}

function startError(code: string, message: string): GatewayError {
  const port = code === "ADDRESS_IN_USE";
  return new GatewayError(port ? "PAIRING_PORT_IN_USE" : "PAIRING_UNAVAILABLE", `the pairing endpoint: ${message}`, {
    metadata: { code },
  });
}

function unavailable(why: string): GatewayError {
  return new GatewayError("PAIRING_UNAVAILABLE", `the pairing endpoint's process did not start: ${why}`);
}

function logErrors({ process: child }: SpawnedChild, logger: Logger): void {
  let left = MAX_STDERR_BYTES;
  child.stderr?.on("data", (chunk: Buffer) => {
    const text = chunk.subarray(0, Math.max(0, left)).toString("utf8").trim();
    left -= chunk.length;
    if (text !== "") logger.warn({ pid: child.pid, stderr: text }, "the pairing endpoint's process said");
  });
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
