import { NodeError } from "@quaymesh/node";
import { FakeTrust } from "../../../packages/gateway/test/support/fake-trust.ts";
import { SessionRegistry } from "../../../packages/gateway/src/sessions/registry.ts";
import { deviceIdOf } from "../actors/node.ts";
import { ModelSessions } from "../model/sessions.ts";
import type { Plan, Work } from "../plan.ts";
import type { Random } from "../random.ts";
import type { Broken } from "../broken.ts";
import { Stage } from "../stage.ts";
import { drawPublish, drawReader, publishAll } from "./events.ts";
import { calmAfter, drawFaults, type FaultWeights } from "./faults.ts";
import type { Running, Scenario } from "./scenario.ts";

const SPAN_MS = 10_000;
const FAULTS: FaultWeights = {
  cut: 4,
  block: 3,
  weather: 3,
  "node-crash": 3,
  "node-stop": 1,
  "gateway-crash": 4,
  "gateway-drain": 3,
  "store-full": 1,
  "store-slow": 3,
  "clock-jump": 2,
};
/** How long an operator waits before asking again. */
const ASK_AGAIN_MS = 400;

/** Sessions: takeover by epoch, drain, revocation. */
export const sessions: Scenario = {
  name: "sessions",
  about: "one session per device, and none and nothing after its revocation",
  plan,
  build: (plan, broken) => new SessionsRun(plan, broken),
};

function plan(seed: number, random: Random): Plan {
  const nodes = random.between(1, 3);
  const readers = random.chance(0.3) ? [drawReader(random, nodes)] : [];
  const publish = Array.from({ length: random.between(2, 7) }, () => drawPublish(random, nodes));
  const special = Array.from({ length: random.between(1, 2) }, () => drawSpecial(random, nodes));
  const work: readonly Work[] = [...publish, ...special];
  const faults = drawFaults(random, 5, FAULTS, { nodes, readers: readers.length, work, untilMs: SPAN_MS });
  const windowBytes = random.pick([600, 262_144]);
  return {
    scenario: "sessions",
    seed,
    nodes,
    readers,
    windowBytes,
    stutter: 0,
    work,
    faults,
    calmAt: calmAfter(faults, work),
  };
}

function drawSpecial(random: Random, nodes: number): Work {
  const when = { at: Math.round(random.next() * SPAN_MS), node: random.between(0, nodes - 1) };
  if (random.chance(0.7)) return { kind: "revoke", ...when };
  return { kind: "twin", ...when, forMs: Math.round(random.next() * 6000) };
}

/** Asks the model about every handshake it lets through. */
class WatchedTrust extends FakeTrust {
  readonly #forgets: boolean;

  constructor(onAccept: (deviceId: string) => void, forgets: boolean) {
    super();
    this.#forgets = forgets;
    const authorize = this.authorize;
    Object.defineProperty(this, "authorize", {
      value: (peer: Parameters<typeof authorize>[0]) => {
        const verdict = authorize(peer);
        if (verdict.kind === "accept") onAccept(verdict.deviceId);
        return verdict;
      },
    });
  }

  override revoke(deviceId: string): void {
    if (!this.#forgets) super.revoke(deviceId);
  }
}

/** Nobody is told that there is an older session. */
function keepOlder(registry: unknown): void {
  if (!(registry instanceof SessionRegistry)) return;
  const claim: SessionRegistry["claim"] = registry.claim.bind(registry);
  registry.claim = (session, epoch) => {
    claim(session, epoch);
    return undefined;
  };
}

class SessionsRun implements Running {
  readonly stage: Stage;
  readonly #model = new ModelSessions();
  readonly #wanted = new Set<number>();
  /** By node: with which code it gave up. */
  readonly #ended = new Map<number, string>();
  #twins = 0;

  constructor(plan: Plan, broken: Broken) {
    const trust = (): FakeTrust =>
      new WatchedTrust(
        (deviceId) => this.stage.guard(() => this.#model.accepted(deviceId)),
        broken.forgetsRevocation ?? false,
      );
    this.stage = new Stage(
      plan,
      {
        trust,
        onCommit: (jobs, replies) => this.#model.committed(jobs, replies, this.stage.log),
        node: (index) => ({ onEnd: (cause) => this.#onEnd(index, cause) }),
      },
      broken,
    );
    if (broken.keepsOlderSession === true) this.stage.gateway.onStart(({ sessions }) => keepOlder(sessions));
    publishAll(this.stage);
    for (const work of plan.work) {
      if (work.kind === "revoke") this.stage.world.after(work.at, () => this.#revoke(work.node));
      if (work.kind === "twin") this.stage.world.after(work.at, () => this.#twin(work.node, work.forMs));
    }
  }

  check(): void {
    this.stage.check();
    const registry = this.stage.gateway.core?.sessions;
    if (!(registry instanceof SessionRegistry)) return;
    for (const [index] of this.stage.sites.entries()) {
      const deviceId = deviceIdOf(index);
      this.#model.checkOpen(deviceId, registry.of(deviceId).filter(({ open }) => open !== undefined).length);
    }
  }

  isDone(): boolean {
    const { stage } = this;
    if (!stage.isDrained) return false;
    return stage.sites.every(({ node }, index) => {
      if (this.#wanted.has(index)) return this.#model.isRevoked(deviceIdOf(index)) && this.#ended.has(index);
      return node.state?.kind === "online" && stage.gateway.core?.sessions.isOnline(deviceIdOf(index)) === true;
    });
  }

  describeRest(): string {
    const ended = [...this.#ended].map(([index, code]) => `node ${String(index)} ended with ${code}`);
    return [this.stage.describeRest(), ...ended].join("; ");
  }

  #revoke(index: number): void {
    const { stage } = this;
    const deviceId = deviceIdOf(index);
    if (!this.#wanted.has(index)) {
      this.#wanted.add(index);
      stage.retire(index);
    }
    const again = (): void => {
      stage.world.after(ASK_AGAIN_MS, () => this.#revoke(index));
    };
    const { core, process } = stage.gateway;
    if (core === undefined || process === undefined) return again();
    // An operator whose gateway dies hears nothing and asks again.
    let answered = false;
    process.onDeath(() => {
      if (!answered) again();
    });
    core.devices.revoke(deviceId, { reason: "sold" }).then(
      () => {
        answered = true;
        stage.guard(() => {
          this.#model.receipt(deviceId, stage.gateway.database.read("devices.get", deviceId)?.revoked === true);
        });
      },
      (cause: unknown) => {
        answered = true;
        stage.onError("revoking failed", cause);
        again();
      },
    );
    return undefined;
  }

  #twin(index: number, forMs: number): void {
    const { stage } = this;
    this.#twins += 1;
    const name = `twin-${String(this.#twins)}`;
    const deviceId = deviceIdOf(index);
    // Whatever ends a twin is its own.
    const site = stage.addMachine(name, { deviceId, onOpen: () => undefined, onEnd: () => undefined });
    site.node.start();
    stage.world.after(forMs, () => site.node.crash("kill"));
  }

  #onEnd(index: number, cause: unknown): void {
    const code = cause instanceof NodeError ? cause.code : "";
    this.#ended.set(index, code);
    if (code !== "DEVICE_REVOKED" || !this.#wanted.has(index)) this.stage.onError("a node gave up", cause);
  }
}
