import type { EndpointCertificate } from "@quaymesh/identity";
import type { BoundAddress, Connection, SocketAddress } from "@quaymesh/protocol";
import type { ChildReport } from "../../../packages/gateway/src/pairing/child-protocol.ts";
import type { PeerListener } from "../../../packages/gateway/src/pairing/child-run.ts";
import { PeerRelay } from "../../../packages/gateway/src/pairing/child/peer-relay.ts";
import type { EndpointPort } from "../../../packages/gateway/src/pairing/desk-parts.ts";
import type { SimNetwork } from "../net/network.ts";
import { Process } from "../process.ts";

/** Where the pairing endpoint is. */
export const PAIRING_ADDRESS: SocketAddress = { host: "gateway", port: 7421 };

const PIPE_MS = 0.2;
const RESTART_MS = 100;
const STOP_MS = 1000;
const MAX_PEERS = 8;

/** What {@link SimEndpoint} takes. */
export interface SimEndpointOptions {
  /** The gateway's. */
  readonly process: Process;
  readonly network: SimNetwork;
  /** The certificate of its next start. */
  readonly issueLeaf: (now: number) => Promise<EndpointCertificate>;
  readonly peers: PeerListener;
  /** A frame leaves the gateway for a peer. */
  readonly onSend: (peer: string, frame: Uint8Array) => void;
}

/** The pairing endpoint: its process is another one on the gateway's machine, with the real relays in it; only the pipe is played. */
export class SimEndpoint implements EndpointPort {
  readonly #options: SimEndpointOptions;
  #wanted = false;
  #run: Run | undefined;
  #starting: Promise<void> | undefined;
  #spkiSha256: Uint8Array = new Uint8Array();

  constructor(options: SimEndpointOptions) {
    this.#options = options;
  }

  get addresses(): readonly BoundAddress[] {
    return [{ ...PAIRING_ADDRESS, asked: PAIRING_ADDRESS }];
  }

  get expectedAddresses(): readonly BoundAddress[] {
    return this.addresses;
  }

  get spkiSha256(): Uint8Array {
    return this.#spkiSha256;
  }

  get health(): EndpointPort["health"] {
    return { wanted: this.#wanted, pid: undefined, faults: 0, lastFault: undefined };
  }

  async demand(): Promise<void> {
    this.#wanted = true;
    if (this.#run !== undefined) return;
    this.#starting ??= this.#start().finally(() => (this.#starting = undefined));
    await this.#starting;
  }

  release(): void {
    this.#wanted = false;
    const run = this.#run;
    this.#run = undefined;
    void run?.stop();
  }

  send(peer: string, frame: Uint8Array): void {
    this.#order(peer, frame, (relay) => relay.send(frame));
  }

  end(peer: string, frame: Uint8Array): void {
    this.#order(peer, frame, (relay) => relay.end(frame));
  }

  drop(peer: string): void {
    this.#order(peer, undefined, (relay) => relay.drop());
  }

  renew(): void {
    const run = this.#run;
    this.#run = undefined;
    void run?.stop();
    if (this.#wanted) void this.demand();
  }

  /** Its process dies; while it is wanted another one starts. */
  crash(): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    run.kill();
    this.#options.process.after(RESTART_MS, () => {
      if (this.#wanted) void this.demand();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wanted = false;
    await this.#starting;
    const run = this.#run;
    this.#run = undefined;
    await run?.stop();
  }

  #order(peer: string, frame: Uint8Array | undefined, act: (relay: PeerRelay) => void): void {
    const run = this.#run;
    if (run?.knows(peer) !== true) return;
    if (frame !== undefined) this.#options.onSend(peer, frame);
    run.order(peer, act);
  }

  async #start(): Promise<void> {
    const { issueLeaf, process } = this.#options;
    const leaf = await process.later(5, () => issueLeaf(process.gatewayClock.now()));
    this.#spkiSha256 = leaf.spkiSha256;
    this.#run = await Run.start(this.#options, leaf.credentials);
    if (!this.#wanted) this.release();
  }
}

/** One life of the process. */
class Run {
  readonly #gateway: SimEndpointOptions;
  readonly #process: Process;
  readonly #relays = new Map<string, { readonly relay: PeerRelay; readonly over: Promise<void> }>();
  /** Those of which the gateway has heard. */
  readonly #peers = new Set<string>();
  #close: () => Promise<void> = async () => undefined;

  private constructor(options: SimEndpointOptions) {
    this.#gateway = options;
    this.#process = new Process(options.process.world, options.process.machine);
    options.process.onDeath(() => this.#process.kill());
  }

  static async start(options: SimEndpointOptions, credentials: EndpointCertificate["credentials"]): Promise<Run> {
    const run = new Run(options);
    const listener = await options.network.transport(run.#process).listen({
      address: PAIRING_ADDRESS,
      protocol: "quaymesh-pair/1",
      credentials,
      limits: { maxConnections: MAX_PEERS, maxStreams: 1 },
      trust: {
        kind: "judged",
        authorize: ({ chain }) => (chain.length === 1 ? { kind: "accept" } : { kind: "refuse", reason: "denied" }),
      },
    });
    run.#close = () => listener.close();
    void run.#accept(listener);
    return run;
  }

  knows(peer: string): boolean {
    return this.#peers.has(peer);
  }

  order(peer: string, act: (relay: PeerRelay) => void): void {
    this.#process.after(PIPE_MS, () => {
      const found = this.#relays.get(peer);
      if (found !== undefined) act(found.relay);
    });
  }

  /** SIGKILL: what was on its way in the pipe still comes, then the gateway sees that it is gone. */
  kill(): void {
    this.#process.kill();
    this.#gateway.process.after(2 * PIPE_MS, () => {
      for (const peer of this.#peers) this.#gateway.peers.onGone(peer);
      this.#peers.clear();
    });
  }

  async stop(): Promise<void> {
    // What it was told before comes first.
    await this.#process.later(PIPE_MS, () => undefined);
    const relays = [...this.#relays.values()];
    for (const { relay } of relays) relay.stop();
    await Promise.race([Promise.all(relays.map(({ over }) => over)), this.#process.later(STOP_MS, () => undefined)]);
    await this.#close();
    this.kill();
  }

  async #accept(listener: AsyncIterable<Connection>): Promise<void> {
    for await (const connection of listener) {
      const { host, port } = connection.remoteAddress;
      const peer = `${host}:${String(port)}`;
      const report = (message: ChildReport): void => {
        this.#gateway.process.after(PIPE_MS, () => this.#take(peer, message));
      };
      const relay = new PeerRelay(port, connection, report, (ms, run) => this.#process.after(ms, run));
      const over = relay.run().finally(() => this.#relays.delete(peer));
      this.#relays.set(peer, { relay, over });
    }
  }

  #take(id: string, report: ChildReport): void {
    const { peers } = this.#gateway;
    if (report.kind === "peer") {
      const { host, port, spki, frame } = report;
      this.#peers.add(id);
      return peers.onPeer({ id, host, port, spkiSha256: fromHex(spki) }, fromBase64(frame));
    }
    if (!this.#peers.has(id)) return undefined;
    if (report.kind === "frame") return peers.onFrame(id, fromBase64(report.frame));
    if (report.kind === "gone" && this.#peers.delete(id)) return peers.onGone(id);
    return undefined;
  }
}

function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}
