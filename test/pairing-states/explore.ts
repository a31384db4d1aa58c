/** Drives the gateway's machine into every state, by chance that can be repeated, and gives it every input there. What comes of it is the table. */
import {
  createGatewayPairing,
  stepGateway,
  type CsrFinding,
  type GatewayPairing,
  type GatewayPairingEffect,
  type GatewayPairingInput,
  type PairingLimits,
  type RenewalFinding,
} from "@quaymesh/identity";
import {
  bytesOf,
  entropyOf,
  GATEWAY_KEY,
  issuedFor,
  MESH_ID,
  NodeRoom,
  pinCode,
  ROOT,
  ticketCode,
} from "../../packages/identity/test/pairing-room.ts";
import { NOW } from "../../packages/identity/test/support.ts";
import { Random } from "../simulation/random.ts";
import {
  attemptState,
  GATEWAY_INPUTS,
  pairOf,
  requestState,
  touchedBy,
  windowState,
  type Pair,
  type Touched,
} from "./states.ts";

/** What came of each pair: `→ persisting: persist`, and the like. */
export type Outcomes = ReadonlyMap<Pair, ReadonlySet<string>>;

/** Walks, and inputs of each. */
const WALKS = 60;
const STEPS = 140;
const HOUR_MS = 3_600_000;
const LIMITS: Partial<PairingLimits> = {
  sourceBurst: 1000,
  failuresPerHour: 1000,
  failuresPerDay: 1000,
  halfOpen: 6,
  pending: 3,
};
const CODES = [ticketCode("a"), ticketCode("b"), pinCode("48217093")] as const;
const KEYS = ["first key", "second key"] as const;
const CSR = bytesOf("a request", 100);

/** Explore the gateway's machine. */
export function exploreGateway(): Outcomes {
  const outcomes = new Map<Pair, Set<string>>();
  for (let walk = 0; walk < WALKS; walk++) new Walk(new Random(walk + 1), outcomes).run();
  return outcomes;
}

class Walk {
  readonly #random: Random;
  readonly #outcomes: Map<Pair, Set<string>>;
  readonly #nodes = new Map<string, NodeRoom>();
  #state: GatewayPairing = createGatewayPairing({ meshId: MESH_ID, root: ROOT, limits: LIMITS });
  #now = NOW;
  #count = 0;
  /** Every other one is of a device that was revoked. */
  #failures = 0;

  constructor(random: Random, outcomes: Map<Pair, Set<string>>) {
    this.#random = random;
    this.#outcomes = outcomes;
  }

  run(): void {
    this.#take({ kind: "open", ...this.#setup("w0"), expiresAt: this.#now + HOUR_MS, now: this.#now });
    for (let at = 0; at < STEPS; at++) {
      // Half of the time whatever an attempt needs next, so that walks come far.
      if (this.#random.chance(0.5)) this.#advance();
      else this.#take(this.#draw(this.#random.pick(KINDS)));
    }
  }

  #take(input: GatewayPairingInput): void {
    const before = this.#state;
    const { state, effects } = stepGateway(before, input);
    this.#state = state;
    for (const touched of touchedBy(before, input)) {
      const pair = pairOf(touched.state, input.kind);
      const known = this.#outcomes.get(pair) ?? new Set();
      this.#outcomes.set(pair, known.add(outcomeOf(touched, input, { before, after: state, effects })));
    }
    for (const effect of effects) {
      const node = effect.kind === "send" ? this.#nodes.get(effect.attemptId) : undefined;
      if (node?.state.kind === "awaiting-share" && effect.kind === "send") node.receive(effect.message);
    }
  }

  #advance(): void {
    const attempts = [...this.#state.attempts.values()];
    if (attempts.length < 2) return this.#take(this.#draw(this.#random.chance(0.8) ? "hello" : "renew"));
    const attempt = this.#random.pick(attempts);
    const { attemptId } = attempt;
    const now = this.#now;
    switch (attempt.kind) {
      case "proving":
        return this.#take(this.#prove(attemptId));
      case "persisting":
        return this.#take({ kind: "persisted", attemptId, now });
      case "inspecting":
        return this.#take({ kind: "csr-inspected", attemptId, finding: this.#finding(attemptId, "none"), now });
      case "looking-up":
        return this.#take({ kind: "renewal-inspected", attemptId, finding: found(this.#now), now });
      case "renewing":
        return undefined;
      case "waiting":
        return this.#decide(attempt.requestId);
      default:
        return attempt satisfies never;
    }
  }

  #decide(requestId: string): void {
    const now = this.#now;
    const status = this.#state.requests.get(requestId)?.status.kind;
    if (status === "pending") return this.#take({ kind: "approve", requestId, deviceId: requestId, now });
    if (status === "approved") return this.#take({ kind: "issued", requestId, issued: issuedFor(requestId), now });
    return undefined;
  }

  #draw(kind: GatewayPairingInput["kind"]): GatewayPairingInput {
    const random = this.#random;
    const now = this.#now;
    const attempts = [...this.#state.attempts];
    const rare = attempts.filter(([, attempt]) => attempt.kind === "persisting" && attempt.gone);
    const some = rare.length > 0 && random.chance(0.4) ? rare : attempts;
    const attemptId = this.#one(some.map(([id]) => id));
    const requestId = this.#one(this.#state.requests.keys());
    switch (kind) {
      case "open": {
        const windowId = random.chance(0.3) ? this.#one(this.#state.windows.keys()) : `w${String(this.#count++)}`;
        const expiresAt = random.chance(0.1) ? now : now + HOUR_MS;
        return { kind, ...this.#setup(windowId), expiresAt, now };
      }
      case "close":
        return { kind, windowId: this.#one(this.#state.windows.keys()), now };
      case "hello":
        return this.#hello();
      case "prove":
        return this.#prove(attemptId);
      case "persisted":
      case "persist-failed":
      case "done":
      case "gone":
        return { kind, attemptId, now };
      case "csr-inspected": {
        const finding = this.#finding(
          attemptId,
          random.pick(["none", "device", "revoked", "invalid", "other"] as const),
        );
        return { kind, attemptId, finding, now };
      }
      case "approve":
        return { kind, requestId, deviceId: requestId, now };
      case "deny":
        return { kind, requestId, now };
      case "issue-failed":
        return { kind, requestId, revoked: this.#failures++ % 2 === 0, now };
      case "issued":
        return { kind, requestId, issued: issuedFor(requestId), now };
      case "renew": {
        const peer = this.#peer(random.pick(KEYS));
        return { kind, attemptId: `r${String(this.#count++)}`, csr: CSR, peer, now };
      }
      case "renewal-inspected":
        return { kind, attemptId, finding: random.pick(FINDINGS)(now), now };
      case "renewal-issued":
        return { kind, attemptId, renewed: { type: "renewed", chain: [CSR], renewAfter: now, time: now }, now };
      case "renewal-failed":
        return { kind, attemptId, revoked: random.chance(0.5), now };
      case "activated":
        return { kind, deviceId: requestId, now };
      case "tick": {
        // Time passes nowhere else, so that what a tick ends is seen to be its own.
        this.#now += random.pick([1, 20_000, 300_000, HOUR_MS]);
        return { kind, now: this.#now };
      }
      default:
        return kind satisfies never;
    }
  }

  #setup(windowId: string) {
    const random = this.#random;
    const [a, b, pin] = CODES;
    const codes = random.pick([[a], [b], [pin], [a, pin]] as const);
    return { windowId, codes, uses: random.pick([1, 1, 2]), preapproved: random.chance(0.15) };
  }

  #hello(): GatewayPairingInput {
    const random = this.#random;
    const attemptId = `a${String(this.#count++)}`;
    const keyName = random.pick(KEYS);
    const code = random.pick(CODES);
    const wrong = code.kind === "pin" ? pinCode("00000000") : { ...code, secret: ticketCode("wrong").secret };
    const node = new NodeRoom(random.chance(0.75) ? code : wrong, { keyName, attemptId, now: this.#now });
    this.#nodes.set(attemptId, node);
    const ya = random.chance(0.03) ? new Uint8Array(32) : node.hello.ya;
    const hello = { ...node.hello, ya };
    return {
      kind: "hello",
      attemptId,
      hello,
      peer: this.#peer(keyName),
      entropy: entropyOf(attemptId),
      deviceId: `device of ${attemptId}`,
      now: this.#now,
    };
  }

  #prove(attemptId: string): GatewayPairingInput {
    const node = this.#nodes.get(attemptId);
    const isReady = node !== undefined && node.state.kind !== "awaiting-share" && node.state.kind !== "failed";
    const prove = isReady ? node.prove : ({ type: "prove", mac: bytesOf("a mac", 64), csr: CSR } as const);
    const swapped = this.#random.chance(0.05) ? { ...prove, csr: CSR } : prove;
    return { kind: "prove", attemptId, prove: swapped, now: this.#now };
  }

  #finding(attemptId: string, what: "none" | "device" | "revoked" | "invalid" | "other"): CsrFinding {
    if (what === "invalid") return { kind: "invalid", detail: "not in DER" };
    const spkiSha256 = what === "other" ? bytesOf("another key", 32) : (this.#nodes.get(attemptId)?.key ?? CSR);
    const enrolment =
      what === "device"
        ? ({ kind: what, deviceId: "known", frozen: this.#random.chance(0.3) } as const)
        : ({ kind: what === "revoked" ? what : "none" } as const);
    return { kind: "valid", spkiSha256, enrolment };
  }

  #peer(keyName: string) {
    return { source: keyName, nodeSpkiSha256: bytesOf(keyName, 32), gatewaySpkiSha256: GATEWAY_KEY };
  }

  /** Mostly something that is there. */
  #one(ids: Iterable<string>): string {
    const all = [...ids];
    return all.length === 0 || this.#random.chance(0.1) ? "nobody" : this.#random.pick(all);
  }
}

const KINDS = Object.keys(GATEWAY_INPUTS) as readonly GatewayPairingInput["kind"][];

function found(now: number, key = KEYS[0] as string): RenewalFinding {
  return { kind: "device", deviceId: "known", spkiSha256: bytesOf(key, 32), notAfter: now };
}

const FINDINGS: readonly ((now: number) => RenewalFinding)[] = [
  (now) => found(now),
  (now) => found(now, KEYS[1]),
  (now) => found(now - 181 * 24 * HOUR_MS),
  () => ({ kind: "unknown" }),
  () => ({ kind: "revoked" }),
  () => ({ kind: "frozen" }),
  () => ({ kind: "invalid", detail: "not in DER" }),
];

interface StepSeen {
  readonly before: GatewayPairing;
  readonly after: GatewayPairing;
  readonly effects: readonly GatewayPairingEffect[];
}

function outcomeOf({ subject, id }: Touched, input: GatewayPairingInput, { before, after, effects }: StepSeen): string {
  const stateOf = { window: windowState, attempt: attemptState, request: requestState }[subject];
  const next = stateOf(after, id).slice(subject.length + 1);
  const streams = new Set([
    ...(subject === "attempt" ? [id] : []),
    ...(subject === "request" ? [before.requests.get(id)?.attemptId] : []),
    ...("attemptId" in input ? [input.attemptId] : []),
  ]);
  const own = effects.filter((effect) => {
    if ("attemptId" in effect) return streams.has(effect.attemptId);
    if (effect.kind === "code-ended" || effect.kind === "window-ended")
      return subject === "window" && effect.windowId === id;
    if (effect.kind === "issue" && subject === "attempt") return isOf(after, id, effect.requestId);
    if (effect.kind === "request-ended" || effect.kind === "issue")
      return subject === "request" && effect.requestId === id;
    if (effect.kind === "ask") return effect.request.attemptId !== undefined && streams.has(effect.request.attemptId);
    return true;
  });
  const said = own.map(describe);
  return said.length === 0 ? `→ ${next}` : `→ ${next}: ${said.join(", ")}`;
}

function isOf({ attempts }: GatewayPairing, attemptId: string, requestId: string): boolean {
  const attempt = attempts.get(attemptId);
  return attempt?.kind === "waiting" && attempt.requestId === requestId;
}

function describe(effect: GatewayPairingEffect): string {
  switch (effect.kind) {
    case "send":
    case "finish":
      return `${effect.kind} ${effect.message.type}`;
    case "fail":
      return effect.code;
    case "settle":
    case "request-ended":
      return `${effect.kind} ${effect.outcome}`;
    case "code-ended":
    case "window-ended":
    case "rejected":
      return `${effect.kind} ${effect.reason}`;
    default:
      return effect.kind;
  }
}
