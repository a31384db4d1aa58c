import { X509Certificate } from "node:crypto";
import {
  certificatesFromPem,
  createGatewayPairing,
  drawAttemptEntropy,
  parseCsr,
  sha256,
  stepGateway,
  type Authority,
  type CodeSecret,
  type GatewayPairing,
  type GatewayPairingEffect,
  type GatewayPairingInput,
  type PairingRequest,
  type RenewalFinding,
} from "@quaymesh/identity";
import {
  MessageStream,
  PAIRING_METHODS,
  parsePairToGateway,
  parseRequest,
  type Connection,
  type Credentials,
  type Listener,
  type PairIssued,
  type PeerIdentity,
  type Renewed,
  type Roots,
  type Transport,
} from "@quaymesh/protocol";
import { createMemoryNetwork, type MemoryNetwork, type MemoryNetworkOptions } from "@quaymesh/protocol/memory";
import { Bell } from "../../src/bell.ts";
import { DEVICE_ID } from "./paired-state.ts";

export const PAIRING_ADDRESS = { host: "192.0.2.10", port: 7421 };

/** A network whose peers are the certificates they show. */
export function certificateNetwork(options: Pick<MemoryNetworkOptions, "isAnchored"> = {}): MemoryNetwork {
  return createMemoryNetwork({
    ...options,
    peerOf(credentials: Credentials): PeerIdentity {
      const chain = certificatesFromPem(credentials.chainPem);
      const leaf = new X509Certificate(chain[0] ?? new Uint8Array());
      return { chain, spkiSha256: sha256(leaf.publicKey.export({ type: "spki", format: "der" })) };
    },
  });
}

type Bare<T> = T extends unknown ? Omit<T, "now"> : never;

/** The gateway's side of pairing: identity's own machine behind a real listener; the operator is the test. */
export class FakePairing implements AsyncDisposable {
  readonly authority: Authority;
  /** What the operator sees, and is asked. */
  readonly requests: PairingRequest[] = [];
  /** Bytes of application data received. */
  streams = 0;
  done = 0;
  /** Certificates given to devices whose own had run out. */
  renewals = 0;
  /** What is known of the key that asks for a late renewal. */
  finding: (spkiSha256: Uint8Array) => RenewalFinding = (spkiSha256) => ({
    kind: "device",
    deviceId: DEVICE_ID,
    spkiSha256,
    notAfter: Date.now() - 1,
  });
  /** What is said of the mesh's roots. */
  roots: () => Roots = () => ({ type: "roots", statements: [], settled: true });
  /** The gateway's clock, for what it issues late. */
  now: () => number = () => Date.now();
  /** Lets a test spoil what is issued. */
  spoil: (issued: PairIssued) => PairIssued = (issued) => issued;
  #state: GatewayPairing;
  readonly #streams = new Map<string, MessageStream>();
  readonly #bell = new Bell();
  readonly #gatewayKey: Uint8Array;
  readonly #listener: Listener;

  private constructor(authority: Authority, listener: Listener, gatewayKey: Uint8Array) {
    this.authority = authority;
    this.#listener = listener;
    this.#gatewayKey = gatewayKey;
    this.#state = createGatewayPairing({ meshId: authority.meshId, root: authority.rootDer });
  }

  static async listen(network: Transport, authority: Authority, address = PAIRING_ADDRESS): Promise<FakePairing> {
    const leaf = await authority.issuePairingLeaf({ now: Date.now() });
    const listener = await network.listen({
      address,
      protocol: "quaymesh-pair/1",
      credentials: leaf.credentials,
      trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
    });
    const pairing = new FakePairing(authority, listener, leaf.spkiSha256);
    void pairing.#accept();
    return pairing;
  }

  open(...codes: readonly CodeSecret[]): void {
    const expiresAt = Date.now() + 300_000;
    this.#step({ kind: "open", windowId: "window", codes, expiresAt, uses: 1, preapproved: false });
  }

  /** Wrong proofs of the window's codes so far; none once it is burnt. */
  get failures(): number | undefined {
    return this.#state.windows.get("window")?.codes.reduce((sum, { failures }) => sum + failures, 0);
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#bell.wait();
  }

  approve(): void {
    const requestId = this.requests.at(-1)?.requestId ?? "";
    this.#step({ kind: "approve", requestId, deviceId: DEVICE_ID });
  }

  /** The operator closes the window. */
  close(): void {
    this.#step({ kind: "close", windowId: "window" });
  }

  /** Nobody decides in time. */
  expire(): void {
    const step = stepGateway(this.#state, { kind: "tick", now: Date.now() + 600_000 });
    this.#state = step.state;
    for (const effect of step.effects) void this.#perform(effect);
  }

  deny(): void {
    this.#step({ kind: "deny", requestId: this.requests.at(-1)?.requestId ?? "" });
  }

  /** Cut every pairing stream's connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener.close();
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) void this.#serve(connection);
  }

  async #serve(connection: Connection): Promise<void> {
    for await (const byteStream of connection.incomingStreams) {
      this.streams += 1;
      const stream = new MessageStream(byteStream);
      const attemptId = `attempt ${this.streams}`;
      this.#streams.set(attemptId, stream);
      void this.#attempt(attemptId, stream, connection.peer).catch(() => this.#step({ kind: "gone", attemptId }));
    }
  }

  async #attempt(attemptId: string, stream: MessageStream, peer: PeerIdentity): Promise<void> {
    const frame = await stream.read();
    if (frame === null) return;
    const opening = parseRequest(frame, PAIRING_METHODS);
    if (opening.method === "mesh.roots") {
      await stream.end(this.roots());
      return;
    }
    const seen = { source: "192.0.2.57", nodeSpkiSha256: peer.spkiSha256, gatewaySpkiSha256: this.#gatewayKey };
    if (opening.method === "certificate.renew") {
      this.#step({ kind: "renew", attemptId, csr: opening.csr, peer: seen });
      return;
    }
    this.#step({
      kind: "hello",
      attemptId,
      hello: opening,
      peer: seen,
      entropy: drawAttemptEntropy(),
      deviceId: DEVICE_ID,
    });
    for await (const message of stream.messages(parsePairToGateway)) {
      if (message.type === "prove") this.#step({ kind: "prove", attemptId, prove: message });
      else {
        this.done += 1;
        this.#step({ kind: "done", attemptId });
        await stream.end({ type: "done" });
      }
    }
  }

  #step(input: Bare<GatewayPairingInput>): void {
    const step = stepGateway(this.#state, { ...input, now: Date.now() });
    this.#state = step.state;
    for (const effect of step.effects) void this.#perform(effect);
    this.#bell.ring();
  }

  async #perform(effect: GatewayPairingEffect): Promise<void> {
    switch (effect.kind) {
      case "send":
        await this.#streams.get(effect.attemptId)?.send(effect.message);
        return;
      case "fail":
        await this.#streams.get(effect.attemptId)?.fail(effect);
        return;
      case "persist":
        return this.#step({ kind: "persisted", attemptId: effect.attemptId });
      case "inspect-csr": {
        const { spkiSha256 } = await parseCsr(effect.csr);
        const finding = { kind: "valid", spkiSha256, enrolment: { kind: "none" } } as const;
        return this.#step({ kind: "csr-inspected", attemptId: effect.attemptId, finding });
      }
      case "inspect-renewal": {
        const { spkiSha256 } = await parseCsr(effect.csr);
        const { attemptId } = effect;
        return this.#step({ kind: "renewal-inspected", attemptId, finding: this.finding(spkiSha256) });
      }
      case "renew": {
        const { attemptId, deviceId, csr, spkiSha256 } = effect;
        const now = this.now();
        const leaf = await this.authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: spkiSha256, now });
        const { chain, renewAfter } = leaf;
        const renewed: Renewed = { type: "renewed", chain: [...chain], renewAfter, time: now };
        return this.#step({ kind: "renewal-issued", attemptId, renewed });
      }
      case "finish":
        await this.#streams.get(effect.attemptId)?.end(effect.message);
        this.renewals += 1;
        return;
      case "issue":
        return this.#issue(effect);
      case "ask":
        this.requests.push(effect.request);
        return this.#bell.ring();
      default:
        return undefined;
    }
  }

  async #issue(effect: Extract<GatewayPairingEffect, { kind: "issue" }>): Promise<void> {
    const { requestId, deviceId, csr } = effect;
    const { spkiSha256 } = await parseCsr(csr);
    const leaf = await this.authority.issueDeviceLeaf({
      csr,
      deviceId,
      expectedSpkiSha256: spkiSha256,
      now: Date.now(),
    });
    const issued: PairIssued = {
      type: "issued",
      chain: [...leaf.chain],
      deviceId,
      renewAfter: leaf.renewAfter,
      addresses: ["0.0.0.0:7420"],
    };
    this.#step({ kind: "issued", requestId, issued: this.spoil(issued) });
  }
}
