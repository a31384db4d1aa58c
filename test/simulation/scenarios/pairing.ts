import { certificatesFromPem, readDeviceLeaf, stepNode } from "@quaymesh/identity";
import { FakeTrust } from "../../../packages/gateway/test/support/fake-trust.ts";
import type { NodeIdentity } from "../../../packages/node/src/state/identity-file.ts";
import type { CoreOnline, SimPairing } from "../actors/gateway.ts";
import type { SimNode } from "../actors/node.ts";
import { ModelPairing } from "../model/pairing.ts";
import type { Site } from "../faults.ts";
import type { BrokenPairing } from "../pairing/broken.ts";
import { ATTEMPT_LIMITS, isErased, openDesk, type CodeOf } from "../pairing/gateway.ts";
import { Fleet } from "../pairing/fleet.ts";
import { isForeseen } from "../pairing/foreseen.ts";
import { SimJoiner } from "../pairing/joiner.ts";
import { materials, type Materials } from "../pairing/materials.ts";
import { Operator, type DeskOnline } from "../pairing/operator.ts";
import { drawPairing } from "../pairing/plan.ts";
import { Strangers } from "../pairing/strangers.ts";
import { TAKEN } from "../pairing/transitions.ts";
import type { Plan, Work } from "../plan.ts";
import type { Broken } from "../broken.ts";
import { Stage } from "../stage.ts";
import { Violation } from "../violation.ts";
import type { Running, Scenario } from "./scenario.ts";

const DAY_MS = 86_400_000;
/** Until a sleeper wakes up, and between two looks whether it is paired. */
const NAP_MS = 500;
/** Certificates live 30 days, and are renewed for 180 more. */
const RENEWED_FOR_DAYS = 210;

/** Pairing: codes, budgets, approvals, certificates; with strangers about. */
export const pairing: Scenario = {
  name: "pairing",
  about: "a code lets one device in, once approved, and every guess counts",
  plan: drawPairing,
  build: (plan, broken) => new PairingRun(plan, broken),
};

class PairingRun implements Running {
  readonly stage: Stage;
  readonly #model = new ModelPairing(ATTEMPT_LIMITS);
  readonly #broken: BrokenPairing;
  readonly #joiners: SimJoiner[] = [];
  readonly #operators: Operator[] = [];
  readonly #agents = new Map<number, SimNode>();
  readonly #fleets: Fleet[] = [];
  /** By machine: for how many days it slept. */
  readonly #slept = new Map<number, number>();
  readonly #interfered = new Set<number>();
  readonly #strangers: Strangers;
  #ended: CodeOf[] = [];
  #made: Materials | undefined;
  #desk: DeskOnline | undefined;
  #count = 0;
  /** Starts of the pairing endpoint. */
  #endpoints = 0;

  constructor(plan: Plan, broken: Broken) {
    this.#broken = broken.pairing ?? {};
    this.stage = new Stage(
      plan,
      {
        trust: () => new FakeTrust(),
        onCommit: (jobs, replies) => this.#model.committed(jobs, replies),
        inhabit: (index, place) => (this.#joiners[index] = this.#joiner(index, place)),
        pairing: (online) => this.#open(online),
      },
      broken,
    );
    this.#strangers = new Strangers(this.stage, () => this.#materials);
    const { world, gateway } = this.stage;
    gateway.onStart(() => this.stage.guard(() => this.#checkSurvived()));
    for (const work of plan.work) world.after(work.at, () => this.#do(work));
  }

  async prepare(): Promise<void> {
    this.#made = await materials();
  }

  check(): void {
    for (const secret of this.#ended.splice(0)) {
      if (!isErased(secret))
        throw new Violation("secrets-erased", "the code of a window that is over can still be read");
    }
  }

  isDone(): boolean {
    const { work } = this.stage.plan;
    if (this.#operators.length < work.filter(({ kind }) => kind === "pair").length) return false;
    if (![...this.#operators, ...this.#fleets].every(({ isDone }) => isDone)) return false;
    if (![...this.#slept].every(([index, days]) => this.#isAwake(index, days))) return false;
    return work.every((each) => {
      if (each.kind !== "pair" || each.decision !== "approve") return true;
      const joiner = this.#joiners[each.node];
      const isOnline = this.#agents.get(each.node)?.state?.kind === "online";
      return this.#isRevoked(each.node) || (joiner?.identity !== undefined && isOnline);
    });
  }

  describeRest(): string {
    const people = [...this.#operators, ...this.#fleets].filter(({ isDone }) => !isDone).length;
    const nodes = this.#joiners.map(({ isDown, isTrying, refusal, identity, renewal }, index) => {
      const does = isDown ? "down" : isTrying ? `trying, told ${refusal ?? "nothing"}` : "idle";
      const agent = this.#agents.get(index)?.state?.kind ?? "none";
      return `node ${String(index)} ${does}, ${identity === undefined ? "unpaired" : "paired"}, renewal ${renewal}, agent ${agent}`;
    });
    return [`${String(people)} people still wait`, ...nodes].join("; ");
  }

  get #materials(): Materials {
    if (this.#made === undefined) throw new Error("nothing is prepared");
    return this.#made;
  }

  async #open(online: CoreOnline): Promise<SimPairing> {
    const { stage } = this;
    const { authority, endpointLeaf } = this.#materials;
    const { desk, endpoint } = await openDesk({
      online,
      network: stage.network,
      authority,
      issueLeaf: (now) => endpointLeaf(authority, this.#endpoints++, now),
      model: this.#model,
      door: stage.plan.door ?? "window",
      broken: this.#broken,
      guard: (check) => stage.guard(check),
      onEnded: (codes) => this.#ended.push(...codes),
      onError: (what, cause) => stage.onError(what, cause),
    });
    this.#desk = { desk, process: online.process };
    return {
      crashEndpoint: () => endpoint.crash(),
      [Symbol.asyncDispose]: () => desk[Symbol.asyncDispose](),
    };
  }

  #joiner(index: number, { machine, disk }: Pick<Site, "machine" | "disk">): SimJoiner {
    return new SimJoiner({
      world: () => this.stage.world,
      network: () => this.stage.network,
      machine,
      disk,
      holder: () => this.#materials.holder(machine.name),
      blind: this.#broken.blind ?? false,
      step: (state, input) => {
        TAKEN.onNode(state, input);
        return (this.#broken.nodeStep ?? stepNode)(state, input);
      },
      onWords: ({ peer, words }) => this.stage.guard(() => this.#model.nodeShows(peer, words)),
      onStored: (identity) => this.#stored(index, machine.name, identity),
      onFailed: (code, cause) => {
        if (!isForeseen(code, { interfered: this.#interfered.has(index), leapt: this.#slept.size > 0 }))
          this.stage.onError(`node ${String(index)} could not be paired`, cause);
      },
    });
  }

  /** A machine that has its certificate runs a node with it. */
  #stored(index: number, host: string, { deviceId, chainPem }: NodeIdentity): void {
    const leaf = readDeviceLeaf(certificatesFromPem(chainPem)[0] ?? new Uint8Array());
    if (typeof leaf === "string") return this.stage.onError("a certificate is none", leaf);
    this.stage.guard(() => this.#model.stored(host, deviceId, leaf.serial));
    this.#agents.get(index)?.crash("kill");
    const name = `agent-${String(this.#count++)}`;
    // It ends when its device is revoked, and is told so.
    const quiet = { onOpen: () => undefined, onEnd: () => undefined };
    const { node } = this.stage.addMachine(name, { deviceId, serial: leaf.serial, ...quiet });
    this.#agents.set(index, node);
    return node.start();
  }

  #checkSurvived(): void {
    for (const { identity } of this.#joiners) {
      if (identity === undefined) continue;
      const device = this.stage.gateway.database.read("devices.get", identity.deviceId);
      if (device === undefined) throw new Violation("paired-is-durable", "the gateway has forgotten a device");
    }
  }

  #isRevoked(index: number): boolean {
    const { identity } = this.#joiners[index] ?? {};
    if (identity === undefined) return false;
    return this.stage.gateway.database.read("devices.get", identity.deviceId)?.revoked === true;
  }

  #do(work: Work): void {
    switch (work.kind) {
      case "pair":
        return this.#pair(work);
      case "fleet":
        return this.#fleet(work);
      case "sleep":
        return this.#sleep(work);
      case "renew":
        return this.#joiners[work.node]?.renew();
      case "revoke":
        return this.#revoke(work.node);
      case "guess":
        return this.#strangers.guess(work);
      case "thief":
        return this.#strangers.steal(work);
      case "middle":
        return this.#sitBetween(work);
      default:
        return undefined;
    }
  }

  #pair(work: Extract<Work, { kind: "pair" }>): void {
    const joiner = this.#joiners[work.node];
    if (joiner === undefined) return;
    // Nobody is asked about the same machine twice at once.
    const before = this.#operators.filter((each) => each.node === work.node);
    const operator = new Operator({
      world: this.stage.world,
      model: this.#model,
      desk: () => (this.stage.gateway.core === undefined ? undefined : this.#desk),
      joiner,
      work,
      isFree: () => before.every(({ isDone }) => isDone),
      isCalm: () => this.stage.world.now >= this.stage.plan.calmAt,
      onShown: (codes) => this.#strangers.see(work.node, codes),
      onError: (what, cause) => this.stage.onError(what, cause),
    });
    this.#operators.push(operator);
    operator.start();
  }

  #fleet({ node, uses }: Extract<Work, { kind: "fleet" }>): void {
    const { world, gateway, plan } = this.stage;
    const fleet = new Fleet({
      world,
      uses,
      joiners: [...this.#joiners.slice(node), ...this.#joiners.slice(0, node)],
      desk: () => (gateway.core === undefined ? undefined : this.#desk),
      hasPlaces: (windowId) => {
        const { state, usesLeft = 0 } = gateway.database.read("pairing.window", windowId) ?? {};
        return state === "open" && usesLeft > 0;
      },
      isCalm: () => world.now >= plan.calmAt,
      onShown: (codes) => this.#strangers.see(node, codes),
      onError: (what, cause) => this.stage.onError(what, cause),
    });
    this.#fleets.push(fleet);
    fleet.start();
  }

  /** Everybody's calendar moves on, as nothing else happens; the machine itself notices when it wakes up. */
  #sleep({ node, days }: Extract<Work, { kind: "sleep" }>): void {
    const { world, plan } = this.stage;
    const joiner = this.#joiners[node];
    if (joiner === undefined) return;
    if (joiner.identity === undefined) {
      if (world.now < plan.calmAt) world.after(NAP_MS, () => this.#sleep({ kind: "sleep", at: world.now, node, days }));
      return;
    }
    joiner.crash();
    world.skip(days * DAY_MS);
    this.#slept.set(node, days);
    world.after(NAP_MS, () => {
      joiner.renew();
      joiner.start();
    });
  }

  /** It has another certificate, or knows that it will not get one. */
  #isAwake(index: number, days: number): boolean {
    const renewal = this.#joiners[index]?.renewal;
    return renewal === "granted" || (renewal === "refused" && (days > RENEWED_FOR_DAYS || this.#isRevoked(index)));
  }

  #revoke(index: number): void {
    const { identity } = this.#joiners[index] ?? {};
    const { core } = this.stage.gateway;
    if (identity === undefined || core === undefined) return;
    core.devices.revoke(identity.deviceId, { reason: "sold" }).catch((cause: unknown) => {
      this.stage.onError("revoking failed", cause);
    });
  }

  #sitBetween(work: Extract<Work, { kind: "middle" }>): void {
    const machine = this.#joiners[work.node]?.machine;
    if (machine === undefined) return;
    this.#interfered.add(work.node);
    this.#strangers.sitBetween(work, machine);
  }
}
