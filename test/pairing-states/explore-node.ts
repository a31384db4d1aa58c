/** Drives the node's machine into every state, and gives it every input there, right and wrong. */
import {
  createGatewayPairing,
  stepGateway,
  stepNode,
  type GatewayPairingInput,
  type NodePairing,
  type NodePairingInput,
} from "@quaymesh/identity";
import {
  entropyOf,
  GATEWAY_KEY,
  issuedFor,
  MESH_ID,
  NodeRoom,
  ROOT,
  ticketCode,
} from "../../packages/identity/test/pairing-room.ts";
import { NOW } from "../../packages/identity/test/support.ts";
import type { Outcomes } from "./explore.ts";
import { nodeInputOf, pairOf, type Pair } from "./states.ts";

const HOUR_MS = 3_600_000;

/** Explore the node's machine: every input in every state, right and wrong. */
export function exploreNode(): Outcomes {
  const outcomes = new Map<Pair, Set<string>>();
  for (const reach of REACHED) {
    for (const input of nodeInputs()) {
      const { state, now } = reach();
      const step = stepNode(state, "now" in input ? { ...input, now: input.now + now } : input);
      const pair = pairOf(state.kind, nodeInputOf(input));
      const said = step.effects.map((effect) => {
        if (effect.kind === "send") return `send ${"type" in effect.message ? effect.message.type : "hello"}`;
        return effect.kind === "failed" ? effect.code : effect.kind;
      });
      const outcome = said.length === 0 ? `→ ${step.state.kind}` : `→ ${step.state.kind}: ${said.join(", ")}`;
      outcomes.set(pair, (outcomes.get(pair) ?? new Set()).add(outcome));
    }
  }
  return outcomes;
}

interface Reached {
  readonly state: NodePairing;
  readonly now: number;
}

const CODE = ticketCode("node");
const SHARES = sharesFor();

/** A node, and the gateway's answers to it. */
function sharesFor() {
  const node = new NodeRoom(CODE);
  let state = createGatewayPairing({ meshId: MESH_ID, root: ROOT });
  const said: { type: string }[] = [];
  const take = (input: GatewayPairingInput): void => {
    const step = stepGateway(state, input);
    state = step.state;
    for (const effect of step.effects) {
      if (effect.kind === "send") said.push(effect.message);
      if (effect.kind === "persist") take({ kind: "persisted", attemptId: "it", now: NOW });
      if (effect.kind !== "inspect-csr") continue;
      const finding = { kind: "valid", spkiSha256: node.key, enrolment: { kind: "none" } } as const;
      take({ kind: "csr-inspected", attemptId: "it", finding, now: NOW });
    }
  };
  const peer = { source: "it", nodeSpkiSha256: node.key, gatewaySpkiSha256: GATEWAY_KEY };
  take({ kind: "open", windowId: "w", codes: [CODE], uses: 1, preapproved: false, expiresAt: NOW + HOUR_MS, now: NOW });
  take({ kind: "hello", attemptId: "it", hello: node.hello, peer, entropy: entropyOf("it"), deviceId: "it", now: NOW });
  const share = said.shift() as Message<"share">;
  node.receive(share);
  take({ kind: "prove", attemptId: "it", prove: node.prove, now: NOW });
  return { share, proved: said.shift() as Message<"proved">, issued: issuedFor() };
}

type Message<T> = Extract<Extract<NodePairingInput, { kind: "message" }>["message"], { type: T }>;

const REACHED: readonly (() => Reached)[] = [
  () => reached(),
  () => reached("share"),
  () => reached("share", "proved"),
  () => reached("share", "proved", "issued"),
  () => reached("share", "proved", "issued", "stored"),
  () => reached("gone"),
];

function reached(...inputs: readonly ("share" | "proved" | "issued" | "stored" | "gone")[]): Reached {
  const node = new NodeRoom(CODE);
  for (const input of inputs) {
    if (input === "stored" || input === "gone") node.step({ kind: input });
    else node.receive(SHARES[input]);
  }
  return { state: node.state, now: NOW };
}

/** Times are added to that of the state. */
function nodeInputs(): readonly NodePairingInput[] {
  const { share, proved, issued } = SHARES;
  const said = (message: typeof share | typeof proved | typeof issued): NodePairingInput => ({
    kind: "message",
    now: 0,
    message,
  });
  return [
    said(share),
    said({ ...share, yb: new Uint8Array(32) }),
    said(proved),
    said({ ...proved, mac: new Uint8Array(64) }),
    said(issued),
    { kind: "error", code: "PAIR_DENIED", message: "no" },
    { kind: "gone" },
    { kind: "tick", now: 0 },
    { kind: "tick", now: HOUR_MS },
    { kind: "stored" },
    { kind: "store-failed", code: "STATE_UNREADABLE", message: "no" },
  ];
}
