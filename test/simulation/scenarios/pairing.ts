import { certificatesFromPem, readDeviceLeaf, stepNode } from "@quaymesh/identity";
import { FakeTrust } from "../../../packages/gateway/test/support/fake-trust.ts";
import type { NodeIdentity } from "../../../packages/node/src/state/identity-file.ts";
import type { CoreOnline, SimPairing } from "../actors/gateway.ts";
import type { SimNode } from "../actors/node.ts";
import { ModelPairing } from "../model/pairing.ts";
import type { BrokenPairing } from "../pairing/broken.ts";
import { PAIRING_ADDRESS } from "../pairing/endpoint.ts";
import { ATTEMPT_LIMITS, openDesk, type CodeOf } from "../pairing/gateway.ts";
import { SimJoiner, type Handed } from "../pairing/joiner.ts";
import { materials, type Materials } from "../pairing/materials.ts";
import { Operator, type DeskOnline } from "../pairing/operator.ts";
import { drawPairing } from "../pairing/plan.ts";
import { guessAt, rightCode, sitBetween, tryCode, type StrangerParts } from "../pairing/stranger.ts";
import { TAKEN } from "../pairing/transitions.ts";
import type { Plan, Work } from "../plan.ts";
import { Process, type Machine } from "../process.ts";
import type { Broken } from "../broken.ts";
import { Stage } from "../stage.ts";
import { Violation } from "../violation.ts";
import type { Running, Scenario } from "./scenario.ts";

/** What a node may be told while everything fails, and strangers are about. */
const FORESEEN = new Set([
  "PAIR_CLOSED",
  "PAIR_CODE_INVALID",
  "PAIR_RATE_LIMITED",
  "PAIR_DENIED",
  "PAIR_APPROVAL_TIMEOUT",
  "PAIR_UNAVAILABLE",
  "PAIR_TIMEOUT",
  "PAIR_PROTOCOL",
  "GATEWAY_UNREACHABLE",
  "GATEWAY_BUSY",
  "SESSION_LOST",
  "DEVICE_REVOKED",
]);
/** What only somebody in between makes happen. */
const INTERFERENCE = new Set(["GATEWAY_PIN_MISMATCH", "PAKE_CONFIRM_FAILED"]);
const FIRST_MIDDLE_PORT = 9000;

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
  /** The code that was last shown for a machine. */
  readonly #shown = new Map<number, Handed>();
  readonly #interfered = new Set<number>();
  readonly #strangers = new Map<string, Machine>();
  #ended: CodeOf[] = [];
  #made: Materials | undefined;
  #desk: DeskOnline | undefined;
  #count = 0;

  constructor(plan: Plan, broken: Broken) {
    this.#broken = broken.pairing ?? {};
    this.stage = new Stage(
      plan,
      {
        trust: () => new FakeTrust(),
        onCommit: (jobs, replies) => this.#model.committed(jobs, replies),
        inhabit: (index, { machine }) => (this.#joiners[index] = this.#joiner(index, machine)),
        pairing: (online) => this.#open(online),
      },
      broken,
    );
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
    if (!this.#operators.every(({ isDone }) => isDone)) return false;
    return work.every((each) => {
      if (each.kind !== "pair" || each.decision !== "approve") return true;
      const joiner = this.#joiners[each.node];
      const isOnline = this.#agents.get(each.node)?.state?.kind === "online";
      return this.#isRevoked(each.node) || (joiner?.identity !== undefined && isOnline);
    });
  }

  describeRest(): string {
    const people = this.#operators.filter(({ isDone }) => !isDone).length;
    const nodes = this.#joiners.map(({ isDown, isTrying, refusal, identity }, index) => {
      const does = isDown ? "down" : isTrying ? `trying, told ${refusal ?? "nothing"}` : "idle";
      const agent = this.#agents.get(index)?.state?.kind ?? "none";
      return `node ${String(index)} ${does}, ${identity === undefined ? "unpaired" : "paired"}, agent ${agent}`;
    });
    return [`${String(people)} people still wait`, ...nodes].join("; ");
  }

  get #materials(): Materials {
    if (this.#made === undefined) throw new Error("nothing is prepared");
    return this.#made;
  }

  async #open(online: CoreOnline): Promise<SimPairing> {
    const { stage } = this;
    const { desk, endpoint } = await openDesk({
      online,
      network: stage.network,
      authority: this.#materials.authority,
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

  #joiner(index: number, machine: Machine): SimJoiner {
    return new SimJoiner({
      world: () => this.stage.world,
      network: () => this.stage.network,
      machine,
      holder: () => this.#materials.holder(machine.name),
      blind: this.#broken.blind ?? false,
      step: (state, input) => {
        TAKEN.onNode(state, input);
        return (this.#broken.nodeStep ?? stepNode)(state, input);
      },
      onWords: ({ peer, words }) => this.stage.guard(() => this.#model.nodeShows(peer, words)),
      onStored: (identity) => this.#stored(index, machine.name, identity),
      onFailed: (code, cause) => {
        const isForeseen = FORESEEN.has(code) || (this.#interfered.has(index) && INTERFERENCE.has(code));
        if (!isForeseen) this.stage.onError(`node ${String(index)} could not be paired`, cause);
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
      case "renew":
        return this.#joiners[work.node]?.renew();
      case "revoke":
        return this.#revoke(work.node);
      case "guess":
        return this.#guess(work);
      case "thief":
        return this.#thief(work.node);
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
      onShown: (handed) => this.#shown.set(work.node, handed),
      onError: (what, cause) => this.stage.onError(what, cause),
    });
    this.#operators.push(operator);
    operator.start();
  }

  #revoke(index: number): void {
    const { identity } = this.#joiners[index] ?? {};
    const { core } = this.stage.gateway;
    if (identity === undefined || core === undefined) return;
    core.devices.revoke(identity.deviceId, { reason: "sold" }).catch((cause: unknown) => {
      this.stage.onError("revoking failed", cause);
    });
  }

  #guess({ node, stranger, code, times, everyMs, manner }: Extract<Work, { kind: "guess" }>): void {
    const process = this.#strangerAt(`guesser-${String(stranger)}`);
    for (let at = 0; at < times; at++) {
      process.after(at * everyMs, () => {
        const handed = this.#shown.get(node) ?? { kind: "pin", pin: "none" };
        void this.#asStranger(process, (parts) => tryCode(parts, guessAt(handed, code), manner));
      });
    }
  }

  #thief(node: number): void {
    const handed = this.#shown.get(node);
    if (handed === undefined) return;
    const process = this.#strangerAt(`thief-${String(node)}`);
    void this.#asStranger(process, (parts) => tryCode(parts, rightCode(handed)));
  }

  #sitBetween({ node, forMs, style }: Extract<Work, { kind: "middle" }>): void {
    const machine = this.#joiners[node]?.machine;
    if (machine === undefined) return;
    const port = FIRST_MIDDLE_PORT + this.#count++;
    const process = this.#strangerAt(`${style === "relay" ? "relay" : "middle"}-${String(port)}`);
    const handed = this.#shown.get(node) ?? { kind: "pin", pin: "00000000" };
    const code = style === "knows" ? rightCode(handed) : guessAt(handed, handed.kind);
    this.#interfered.add(node);
    const { network } = this.stage;
    network.divert(machine.name, new Map([[PAIRING_ADDRESS.port, port]]));
    process.after(forMs, () => {
      network.divert(machine.name, undefined);
      process.kill();
    });
    const { stranger } = this.#materials;
    void this.#asStranger(process, async (parts) => {
      // Who plays the gateway to the node plays a node to the gateway.
      if (style !== "relay") void tryCode(parts, code).catch(() => undefined);
      await sitBetween({ ...parts, authority: stranger, port, plays: style === "relay" ? undefined : code });
    });
  }

  async #asStranger(process: Process, act: (parts: StrangerParts) => Promise<void>): Promise<void> {
    const holder = await this.#materials.holder(process.machine.name.replace(/\d+$/, ""));
    await act({ network: this.stage.network, process, holder }).catch(() => undefined);
  }

  #strangerAt(name: string): Process {
    const machine = this.#strangers.get(name) ?? this.stage.addPlace(name).machine;
    this.#strangers.set(name, machine);
    return new Process(this.stage.world, machine);
  }
}

function isErased(secret: CodeOf): boolean {
  try {
    if (secret.kind === "pin") secret.pin.reveal();
    else secret.secret.reveal();
    return false;
  } catch {
    return true;
  }
}
