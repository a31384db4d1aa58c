/**
 * Every state and every input of the two pairing machines, and what each input is about. The compiler refuses the lists when a machine gets one more, or loses one; what is
 * in them has to be exercised (`pairing-states.test.ts`) and is in `docs/pairing-states.md`.
 */
import type {
  CodeSecret,
  GatewayPairing,
  GatewayPairingInput,
  NodePairing,
  NodePairingInput,
} from "@quaymesh/identity";

/** What the gateway's machine holds. */
export type Subject = "window" | "attempt" | "request";

type Attempt = GatewayPairing["attempts"] extends ReadonlyMap<string, infer A> ? A : never;
type Request = GatewayPairing["requests"] extends ReadonlyMap<string, infer R> ? R : never;
type NodeInput =
  | Exclude<NodePairingInput["kind"], "message">
  | Extract<NodePairingInput, { kind: "message" }>["message"]["type"];

/** `free`: a place, and nobody at it. `claimed`: somebody proves a code. `held`: places are taken, and nobody is proving. */
const WINDOWS = ["none", "free", "claimed", "held"];
const ATTEMPTS = {
  none: 0,
  proving: 0,
  persisting: 0,
  "persisting, gone": 0,
  inspecting: 0,
  waiting: 0,
  "looking-up": 0,
  renewing: 0,
} satisfies Record<Attempt["kind"] | "none" | "persisting, gone", 0>;
const REQUESTS = { none: 0, pending: 0, approved: 0, issued: 0 } satisfies Record<
  Request["status"]["kind"] | "none",
  0
>;

/** States by what is in them; `none`: there is nothing of that name. */
const GATEWAY_STATES: Readonly<Record<Subject, readonly string[]>> = {
  window: WINDOWS,
  attempt: Object.keys(ATTEMPTS),
  request: Object.keys(REQUESTS),
};

/** What each input of the gateway's machine is about. A `tick` is about everything. */
export const GATEWAY_INPUTS = {
  open: ["window"],
  close: ["window"],
  hello: ["window"],
  prove: ["attempt"],
  persisted: ["attempt"],
  "persist-failed": ["attempt"],
  "csr-inspected": ["attempt"],
  approve: ["request"],
  deny: ["request"],
  issued: ["request"],
  "issue-failed": ["request"],
  renew: ["attempt"],
  "renewal-inspected": ["attempt"],
  "renewal-issued": ["attempt"],
  "renewal-failed": ["attempt"],
  done: ["attempt"],
  gone: ["attempt"],
  activated: ["request"],
  tick: ["window", "attempt", "request"],
} as const satisfies Record<GatewayPairingInput["kind"], readonly Subject[]>;

/** States of the node's machine. */
const NODE_STATES: readonly string[] = Object.keys({
  "awaiting-share": 0,
  "awaiting-proof": 0,
  "awaiting-approval": 0,
  storing: 0,
  paired: 0,
  failed: 0,
} satisfies Record<NodePairing["kind"], 0>);

/** Inputs of the node's machine; messages by their type. */
const NODE_INPUTS: readonly string[] = Object.keys({
  share: 0,
  proved: 0,
  issued: 0,
  error: 0,
  gone: 0,
  tick: 0,
  stored: 0,
  "store-failed": 0,
} satisfies Record<NodeInput, 0>);

/** A state and an input, as the table and the tests name them. */
export type Pair = string;

/** `window free + hello`. */
export function pairOf(state: string, input: string): Pair {
  return `${state} + ${input}`;
}

/** What cannot be: an id is given out once, a tick is about what there is, and a device's first session about a request that has its certificate. */
const IMPOSSIBLE: ReadonlySet<Pair> = new Set([
  ...GATEWAY_STATES.attempt.filter((state) => state !== "none").map((state) => pairOf(`attempt ${state}`, "renew")),
  pairOf("request pending", "activated"),
  pairOf("request approved", "activated"),
  ...(["window", "attempt", "request"] as const).map((subject) => pairOf(`${subject} none`, "tick")),
]);

/** All pairs of the gateway's machine. */
export const GATEWAY_PAIRS: readonly Pair[] = Object.entries(GATEWAY_INPUTS)
  .flatMap(([input, subjects]) =>
    subjects.flatMap((subject) => GATEWAY_STATES[subject].map((state) => pairOf(`${subject} ${state}`, input))),
  )
  .filter((pair) => !IMPOSSIBLE.has(pair));

/** All pairs of the node's machine. */
export const NODE_PAIRS: readonly Pair[] = NODE_STATES.flatMap((state) =>
  NODE_INPUTS.map((input) => pairOf(state, input)),
);

/** Where a window is. */
export function windowState({ windows }: GatewayPairing, windowId: string): string {
  const window = windows.get(windowId);
  if (window === undefined) return "window none";
  if (window.codes.some(({ claims }) => claims.length > 0)) return "window claimed";
  return window.requests.length > 0 ? "window held" : "window free";
}

/** Where an attempt is. */
export function attemptState({ attempts }: GatewayPairing, attemptId: string): string {
  const attempt = attempts.get(attemptId);
  if (attempt?.kind === "persisting" && attempt.gone) return "attempt persisting, gone";
  return `attempt ${attempt?.kind ?? "none"}`;
}

/** Where a request is. */
export function requestState({ requests }: GatewayPairing, requestId: string): string {
  return `request ${requests.get(requestId)?.status.kind ?? "none"}`;
}

/** Which window a hello is about; empty, where none has such a code. */
function windowOf({ windows }: GatewayPairing, { codeId, own }: HelloInput["hello"]): string {
  const named = (secret: CodeSecret): boolean => {
    if (secret.kind === "pin") return codeId === undefined;
    if (codeId === undefined || (secret.kind === "node") !== (own === true)) return false;
    return Buffer.compare(secret.codeId, codeId) === 0;
  };
  const found = [...windows.values()].find(({ codes }) => codes.some(({ secret }) => named(secret)));
  return found?.windowId ?? "";
}

type HelloInput = Extract<GatewayPairingInput, { kind: "hello" }>;

/** Which request waits for this device's first session; empty, where none does. */
function awaitedBy({ requests }: GatewayPairing, deviceId: string): string {
  const held = [...requests.values()].find(
    ({ status }) => status.kind === "issued" && status.issued.deviceId === deviceId,
  );
  return held?.requestId ?? "";
}

/** One thing that an input is about. */
export interface Touched {
  readonly subject: Subject;
  readonly id: string;
  /** `window free` and the like. */
  readonly state: string;
}

/** What an input is about, and where that is. */
export function touchedBy(state: GatewayPairing, input: GatewayPairingInput): readonly Touched[] {
  const window = (id: string): Touched => ({ subject: "window", id, state: windowState(state, id) });
  const attempt = (id: string): Touched => ({ subject: "attempt", id, state: attemptState(state, id) });
  const request = (id: string): Touched => ({ subject: "request", id, state: requestState(state, id) });
  switch (input.kind) {
    case "open":
    case "close":
      return [window(input.windowId)];
    case "hello":
      return [window(windowOf(state, input.hello))];
    case "approve":
    case "deny":
    case "issued":
    case "issue-failed":
      return [request(input.requestId)];
    case "activated":
      return [request(awaitedBy(state, input.deviceId))];
    case "tick":
      return [
        ...[...state.windows.keys()].map(window),
        ...[...state.attempts.keys()].map(attempt),
        ...[...state.requests.keys()].map(request),
      ];
    default:
      return [attempt(input.attemptId)];
  }
}

/** What an input of the node's machine is called. */
export function nodeInputOf(input: NodePairingInput): string {
  return input.kind === "message" ? input.message.type : input.kind;
}
