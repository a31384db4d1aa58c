/**
 * Devices that come online and publish as fast as they can while an operator revokes each of them at a moment of its own: in the handshake, between two of its legs, while the session is opened, with batches
 * on their way, queued and half committed. The gateway's core and its store's units are the real ones, on virtual time; a seed gives everything that happens.
 */
import { GatewayCore } from "@quaymesh/gateway";
import type { Connection, Listener, Transport } from "@quaymesh/protocol";
import type { AppendInput, AppendResult } from "../../packages/gateway/src/store/port-events.ts";
import type { RevokeInput } from "../../packages/gateway/src/store/port-devices.ts";
import type { Job, Reply } from "../../packages/gateway/src/store/sqlite/wire.ts";
import { SessionRegistry } from "../../packages/gateway/src/sessions/registry.ts";
import { FakeNode, ticks } from "../../packages/gateway/test/support/fake-node.ts";
import { fakeCredentials, FakeTrust } from "../../packages/gateway/test/support/fake-trust.ts";
import { MESH_ID } from "../simulation/actors/gateway.ts";
import { SimDatabase } from "../simulation/database.ts";
import { GATEWAY_ADDRESS, SimNetwork } from "../simulation/net/network.ts";
import { Path } from "../simulation/net/path.ts";
import { Process, type Machine } from "../simulation/process.ts";
import { Random } from "../simulation/random.ts";
import { standIn } from "../simulation/stand-in.ts";
import { openSimStore, type Sabotage } from "../simulation/store.ts";
import { World, EPOCH_MS, turn } from "../simulation/world.ts";
import type { BrokenRevocation } from "./controls.ts";

/** Where a device was when it was revoked. */
export const PHASES = ["dialing", "opening", "online", "publishing", "over"] as const;
/** One of {@link PHASES}. */
export type Phase = (typeof PHASES)[number];

/** What some races gave. */
export interface Races {
  readonly races: number;
  /** Where devices were. */
  readonly phases: Readonly<Record<Phase, number>>;
  /** Batches sent, events stored, and dials that were turned away after a receipt. */
  readonly batches: number;
  readonly stored: number;
  readonly refused: number;
  /** What must not be: a sentence each. */
  readonly faults: readonly string[];
}

/** Devices of one gateway. */
export const RACES_PER_GATEWAY = 100;
/** From one race to the next: some twenty are under way at once. */
const STAGGER_MS = 2;
/** From the dial to the revocation, at most: three legs of the handshake, the session's commit, and a dozen batches. */
const SPAN_MS = 55;
const AFTERWARDS_MS = 80;
const REDIALS = 2;

/** Run the races of one gateway. */
export async function race(seed: number, count: number, broken: BrokenRevocation = {}): Promise<Races> {
  const races = new GatewayOfRaces(seed, broken);
  return races.run(count);
}

interface Racer {
  readonly deviceId: string;
  phase: Phase;
  /** The newest sequence that was acknowledged. */
  acked: number;
  /** Events that were stored when the operator got the receipt; -1 before. */
  atReceipt: number;
}

class GatewayOfRaces {
  readonly #random: Random;
  readonly #broken: BrokenRevocation;
  readonly #world = new World();
  readonly #network = new SimNetwork(262_144);
  readonly #database = new SimDatabase();
  readonly #racers = new Map<string, Racer>();
  readonly #stored = new Map<string, number>();
  readonly #revoked = new Set<string>();
  readonly #faults: string[] = [];
  readonly #phases = Object.fromEntries(PHASES.map((phase) => [phase, 0])) as Record<Phase, number>;
  #batches = 0;
  #refused = 0;
  #core: GatewayCore | undefined;

  constructor(seed: number, broken: BrokenRevocation) {
    this.#random = new Random(seed);
    this.#broken = broken;
  }

  async run(count: number): Promise<Races> {
    for (let at = 0; at < count; at++) this.#enrol(deviceIdOf(at));
    const process = new Process(this.#world, this.#machine("gateway"));
    const opening = this.#open(process);
    opening.catch((cause: unknown) => this.#faults.push(`the gateway did not open: ${String(cause)}`));
    const rest = { left: count };
    this.#world.after(20, () => {
      for (const [index, racer] of [...this.#racers.values()].entries()) {
        this.#world.after(index * STAGGER_MS, () => {
          void this.#race(racer).then(() => (rest.left -= 1));
        });
      }
    });
    while (rest.left > 0 && this.#faults.length === 0 && (await this.#world.step()));
    await turn();
    if (rest.left > 0 && this.#faults.length === 0) this.#faults.push(`${String(rest.left)} races never ended`);
    const stored = [...this.#stored.values()].reduce((sum, each) => sum + each, 0);
    return {
      races: count - rest.left,
      phases: this.#phases,
      batches: this.#batches,
      stored,
      refused: this.#refused,
      faults: this.#faults,
    };
  }

  async #open(process: Process): Promise<void> {
    const random = this.#random.fork("store");
    const store = openSimStore({
      database: this.#database,
      process,
      random,
      weather: { commitMs: 3, full: false },
      onCommit: (jobs, replies) => this.#committed(jobs, replies),
      ...(this.#broken.store !== undefined && { sabotage: this.#broken.store satisfies Sabotage }),
    });
    this.#core = await GatewayCore.open({
      store,
      transport: late(this.#network.transport(process), process, this.#random.fork("accepting")),
      credentials: fakeCredentials("gateway"),
      anchorsPem: "root",
      trust: this.#trust(),
      issuer: { issueDeviceLeaf: () => Promise.reject(new Error("no issuer")) },
      address: GATEWAY_ADDRESS,
      meshId: MESH_ID,
      clock: process.gatewayClock,
      logger: { debug() {}, info() {}, warn() {}, error: (fields, message) => this.#onLog(fields, message) },
    });
    if (this.#broken.closesNothing === true) Object.defineProperty(this.#core.sessions, "of", { value: () => [] });
  }

  #trust(): FakeTrust {
    const trust = this.#broken.trust?.() ?? new FakeTrust();
    const authorize = trust.authorize;
    return standIn(trust, {
      authorize: (peer) => {
        const verdict = authorize(peer);
        const racer = verdict.kind === "accept" ? this.#racers.get(verdict.deviceId) : undefined;
        if (racer !== undefined && racer.atReceipt >= 0)
          this.#faults.push(`${racer.deviceId} was let in after its receipt`);
        return verdict;
      },
    });
  }

  async #race(racer: Racer): Promise<void> {
    const random = this.#random.fork(racer.deviceId);
    const process = new Process(this.#world, this.#machine(racer.deviceId));
    const path = new Path(this.#world, random.fork("path"));
    path.weather = { latencyMs: 1 + random.next() * 5, jitterMs: random.next() * 4, loss: 0, repeat: 0.05 };
    this.#network.addPath(racer.deviceId, path);
    void this.#device(racer, process, random.fork("device"));
    await this.#pause(random.next() * SPAN_MS);
    this.#phases[racer.phase] += 1;
    await this.#revoke(racer);
    await this.#pause(AFTERWARDS_MS);
    this.#check(racer);
    process.kill();
  }

  async #revoke(racer: Racer): Promise<void> {
    const { deviceId } = racer;
    const core = this.#core;
    if (core === undefined) return;
    try {
      const { lastSeq } = await core.devices.revoke(deviceId, { reason: "raced" });
      racer.atReceipt = this.#storedOf(deviceId);
      if (!this.#revoked.has(deviceId)) this.#faults.push(`${deviceId} has a receipt and is not revoked on disk`);
      // The fake's events are of one outbox, so the last sequence is their number.
      else if (lastSeq !== racer.atReceipt) {
        this.#faults.push(
          `the receipt of ${deviceId} says ${String(lastSeq)}, and ${String(racer.atReceipt)} are stored`,
        );
      }
      this.#checkSessions(deviceId);
    } catch (cause) {
      this.#faults.push(`${deviceId} could not be revoked: ${String(cause)}`);
    }
  }

  #check(racer: Racer): void {
    const { deviceId, atReceipt, acked } = racer;
    const stored = this.#storedOf(deviceId);
    if (stored !== atReceipt) {
      this.#faults.push(`${String(stored - atReceipt)} events of ${deviceId} were accepted after the receipt`);
    }
    if (acked > stored)
      this.#faults.push(`${deviceId} was told of ${String(acked)} events, and ${String(stored)} are stored`);
    this.#checkSessions(deviceId);
  }

  #checkSessions(deviceId: string): void {
    const registry = this.#core?.sessions;
    if (!(registry instanceof SessionRegistry)) return;
    const known = SessionRegistry.prototype.of.call(registry, deviceId);
    if (known.length > 0) this.#faults.push(`${deviceId} has a session after its receipt`);
  }

  async #device(racer: Racer, process: Process, random: Random): Promise<void> {
    for (let dials = 0; dials <= REDIALS; dials++) {
      await this.#session(racer, process, random).catch(() => undefined);
      racer.phase = "over";
      if (racer.atReceipt >= 0) this.#refused += 1;
      await process.later(random.next() * 6, () => undefined);
    }
  }

  async #session(racer: Racer, process: Process, random: Random): Promise<void> {
    const { deviceId } = racer;
    const transport = this.#network.transport(process);
    racer.phase = "dialing";
    const dial: Transport = standIn(transport, {
      dial: async (...options) => {
        const connection = await transport.dial(...options);
        racer.phase = "opening";
        return connection;
      },
    });
    const node = await FakeNode.connect(dial, GATEWAY_ADDRESS, deviceId);
    racer.phase = "online";
    const publisher = await node.publish();
    racer.phase = "publishing";
    void this.#hear(racer, publisher);
    const over = new AbortController();
    void node.closed.then(() => over.abort());
    for (let seq = publisher.ackedSeq + 1; !over.signal.aborted;) {
      const events = random.between(1, 3);
      await publisher.send(seq, ticks(seq, events));
      this.#batches += 1;
      seq += events;
      await process.later(random.next() * 3, () => undefined);
    }
  }

  async #hear(racer: Racer, publisher: Awaited<ReturnType<FakeNode["publish"]>>): Promise<void> {
    try {
      for (;;) {
        const reply = await publisher.reply();
        if (reply.type === "ack") racer.acked = Math.max(racer.acked, reply.seq);
      }
    } catch {
      // Cut off.
    }
  }

  #committed(jobs: readonly Job[], replies: readonly Reply[]): void {
    for (const [index, { unit, input }] of jobs.entries()) {
      const reply = replies[index];
      if (reply?.ok !== true) continue;
      if (unit === "devices.revoke") this.#revoked.add((input as RevokeInput).deviceId);
      if (unit !== "events.append") continue;
      const { deviceId } = input as AppendInput;
      const { kind, ...rest } = reply.value as AppendResult;
      const inserted = kind === "stored" && "inserted" in rest ? rest.inserted : 0;
      if (inserted > 0 && this.#revoked.has(deviceId)) {
        this.#faults.push(`${String(inserted)} events of ${deviceId} were stored after its revocation`);
      }
      this.#stored.set(deviceId, this.#storedOf(deviceId) + inserted);
    }
  }

  #onLog(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#faults.push(`${message}: ${String(fields["error"])}`);
  }

  #storedOf(deviceId: string): number {
    return this.#stored.get(deviceId) ?? 0;
  }

  #enrol(deviceId: string): void {
    const spkiSha256 = Buffer.from(deviceId.padEnd(32, ".")).toString("hex");
    const times = { notBefore: 0, notAfter: EPOCH_MS * 2, issuedAt: 0 };
    const certificate = {
      serial: `serial-${deviceId}`,
      deviceId,
      spkiSha256,
      ...times,
      state: "active",
      chain: [],
    } as const;
    const facts = { name: deviceId, labels: [], purpose: "", platform: "" };
    this.#database.write("devices.enroll", { deviceId, ...facts, certificate, now: EPOCH_MS });
    this.#racers.set(deviceId, { deviceId, phase: "dialing", acked: 0, atReceipt: -1 });
  }

  #machine(name: string): Machine {
    return { name, random: this.#random.fork(`${name} machine`), wallOffsetMs: 0 };
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#world.after(ms, resolve);
    });
  }
}

/** A gateway that is busy: what completes its handshake is taken up a moment later. */
function late(transport: Transport, process: Process, random: Random): Transport {
  const listen: Transport["listen"] = async (options) => {
    const listener = await transport.listen(options);
    const accept = async function* (): AsyncGenerator<Connection, void> {
      for await (const connection of listener) {
        await process.later(random.next() * 2, () => undefined);
        yield connection;
      }
    };
    return standIn<Listener>(listener, { [Symbol.asyncIterator]: accept });
  };
  return standIn(transport, { listen });
}

/** Ids that sort as their index does. */
function deviceIdOf(index: number): string {
  return `01J${String(index).padStart(23, "0")}`;
}
