/** The pairing endpoint as the gateway sees it: a process that is started, watched, replaced when it fails, and stopped. */
import type { BoundAddress, Credentials, ListenAddress } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { formatAddress } from "../daemon/addresses.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { ChildRun, type PeerListener } from "./child-run.ts";
import type { EndpointLimits } from "./limits.ts";

/** What an endpoint shows. */
interface EndpointLeaf {
  readonly credentials: Credentials;
  /** SHA-256 of its SubjectPublicKeyInfo. */
  readonly spkiSha256: Uint8Array;
  /** Unix milliseconds. */
  readonly notBefore: number;
  /** Unix milliseconds. */
  readonly notAfter: number;
}

/** Options of {@link PairingEndpoint}. */
export interface PairingEndpointOptions {
  readonly childModule: URL;
  /** What the process gets in its `process.argv`. */
  readonly childArguments: readonly string[];
  /** One at least. Port 0: any; the one that was given is kept while the gateway runs, since tickets carry it. */
  readonly addresses: readonly ListenAddress[];
  /** The certificate it shows and the key's hash; asked for with each start of the process, so that a gateway that runs for a year does not show an old one. */
  readonly leaf: () => Promise<EndpointLeaf>;
  readonly limits: EndpointLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What the process's peers do. */
  readonly peers: PeerListener;
}

/** How the pairing endpoint's process is. */
export interface EndpointHealth {
  /** Whether somebody needs it now. */
  readonly wanted: boolean;
  readonly pid: number | undefined;
  /** How often it ended unasked, or did not start. */
  readonly faults: number;
  readonly lastFault: string | undefined;
}

const MAX_RESTART_DOUBLINGS = 5;
/** Timers end at 2^31 ms: longer waits are taken in pieces. */
const LEAF_CHECK_MS = 3_600_000;

/** Keeps the pairing process running while it is wanted. */
export class PairingEndpoint implements AsyncDisposable {
  readonly #options: PairingEndpointOptions;
  /** What to listen on; with real ports once they are known. */
  #wantedAddresses: readonly ListenAddress[];
  #addresses: readonly BoundAddress[] = [];
  #run: ChildRun | undefined;
  #starting: Promise<ChildRun> | undefined;
  /** Runs that have been told to go; the port is theirs until they have. */
  #leaving: Promise<void> = Promise.resolve();
  #wanted = false;
  #failures = 0;
  #cancelRestart: (() => void) | undefined;
  #generation = 0;
  #cancelReplacement: () => void = () => undefined;
  #spkiSha256: Uint8Array = new Uint8Array();
  #faults = 0;
  #lastFault: string | undefined;

  constructor(options: PairingEndpointOptions) {
    this.#options = options;
    this.#wantedAddresses = options.addresses;
  }

  /** Where it listens, or last did; none before the first start. */
  get addresses(): readonly BoundAddress[] {
    return this.#addresses;
  }

  /** Where it listens, or would: before the first start what it was told, but for what only a start can tell. */
  get expectedAddresses(): readonly BoundAddress[] {
    if (this.#addresses.length > 0) return this.#addresses;
    return this.#options.addresses.flatMap((asked) =>
      "fd" in asked || asked.port === 0 ? [] : [{ host: asked.host, port: asked.port, asked }],
    );
  }

  /** SHA-256 of the SubjectPublicKeyInfo of the certificate that the process shows, or last did; empty before the first start. */
  get spkiSha256(): Uint8Array {
    return this.#spkiSha256;
  }

  /** The process's id, while one runs. */
  get pid(): number | undefined {
    return this.#run?.pid;
  }

  /** How its process is, for whoever asks. */
  get health(): EndpointHealth {
    return { wanted: this.#wanted, pid: this.pid, faults: this.#faults, lastFault: this.#lastFault };
  }

  /**
   * Have the endpoint listening, now and until {@link PairingEndpoint.release}.
   * @throws {GatewayError} `PAIRING_PORT_IN_USE`, `PAIRING_UNAVAILABLE`
   */
  async demand(): Promise<void> {
    this.#wanted = true;
    if (this.#run === undefined) await this.#start();
  }

  /** Nobody needs it now: it stops, and its port closes. */
  release(): void {
    this.#wanted = false;
    this.#cancelRestart?.();
    this.#cancelReplacement();
    const run = this.#run;
    this.#run = undefined;
    if (run !== undefined) this.#leaving = run.stop();
  }

  /** Show another certificate: a process that runs makes way for one that has it. Who is being served asks again. */
  renew(): void {
    const run = this.#run;
    if (run !== undefined) this.#replace(run);
  }

  /** Write a frame to a peer's stream. Peers of a process that is gone are ignored. */
  send(peer: string, frame: Uint8Array): void {
    this.#of(peer)?.send(peer, frame);
  }

  /** Write the last frame to a peer's stream, and end it. */
  end(peer: string, frame: Uint8Array): void {
    this.#of(peer)?.end(peer, frame);
  }

  /** A peer has been told all there is. */
  drop(peer: string): void {
    this.#of(peer)?.drop(peer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    await this.#starting?.catch(() => {});
    this.release();
    await this.#leaving;
  }

  #keepPorts(bound: readonly BoundAddress[]): void {
    const asked = this.#wantedAddresses;
    this.#wantedAddresses = asked.map((each) => {
      const port = bound.find((address) => address.asked === each)?.port;
      return "fd" in each || port === undefined ? each : { host: each.host, port };
    });
    this.#addresses = bound.map(({ host, port, asked: wanted }) => ({
      host,
      port,
      asked: this.#options.addresses[asked.indexOf(wanted)] ?? wanted,
    }));
  }

  #of(peer: string): ChildRun | undefined {
    return this.#run?.has(peer) === true ? this.#run : undefined;
  }

  async #start(): Promise<void> {
    this.#cancelRestart?.();
    this.#starting ??= this.#launch().finally(() => {
      this.#starting = undefined;
    });
    await this.#starting;
  }

  async #launch(): Promise<ChildRun> {
    await this.#leaving;
    const { childModule, childArguments, limits, clock, logger, peers } = this.#options;
    const { credentials, spkiSha256, notBefore, notAfter } = await this.#options.leaf();
    this.#spkiSha256 = spkiSha256;
    this.#generation += 1;
    const run = await ChildRun.start({
      childModule,
      childArguments,
      credentials,
      limits,
      clock,
      logger,
      peers,
      addresses: this.#wantedAddresses,
      generation: this.#generation,
    });
    this.#keepPorts(run.addresses);
    this.#run = run;
    logger.info({ pid: run.pid, addresses: run.addresses.map(formatAddress) }, "the pairing endpoint is open");
    void run.ended.then((why) => this.#onEnded(run, why));
    if (this.#wanted) this.#replaceAt(run, (notBefore + notAfter) / 2);
    else this.release();
    return run;
  }

  /** A process that is wanted for half a year, as one whose door is always open, makes way for one with another certificate. Who is being served asks again. */
  #replaceAt(run: ChildRun, at: number): void {
    const { clock } = this.#options;
    this.#cancelReplacement = clock.after(LEAF_CHECK_MS, () => {
      if (this.#run !== run) return;
      if (clock.now() < at) return this.#replaceAt(run, at);
      this.#replace(run);
    });
  }

  #replace(run: ChildRun): void {
    this.#options.logger.info({ pid: run.pid }, "the pairing endpoint gets another certificate");
    this.#run = undefined;
    this.#leaving = run.stop();
    this.#restartSoon();
  }

  /** A process that ended unasked is replaced while somebody needs it; connected nodes notice none of it. */
  #onEnded(run: ChildRun, why: string): void {
    if (this.#run !== run) return;
    this.#run = undefined;
    this.#leaving = run.stop();
    this.#failures = run.wasSound ? 0 : this.#failures + 1;
    this.#faulted(why);
    this.#options.logger.warn({ pid: run.pid, why }, "the pairing endpoint's process ended; starting another");
    this.#restartSoon();
  }

  #faulted(why: string): void {
    this.#faults += 1;
    this.#lastFault = why;
  }

  #restartSoon(): void {
    if (!this.#wanted) return;
    const { clock, limits, logger } = this.#options;
    const delayMs = limits.restartMs * 2 ** Math.min(this.#failures, MAX_RESTART_DOUBLINGS);
    this.#cancelRestart = clock.after(delayMs, () => {
      this.#start().catch((cause: unknown) => {
        this.#failures += 1;
        const code = cause instanceof GatewayError ? cause.code : undefined;
        this.#faulted(cause instanceof Error ? cause.message : String(cause));
        logger.error({ err: cause, code }, "the pairing endpoint's process does not start");
        this.#restartSoon();
      });
    });
  }
}
