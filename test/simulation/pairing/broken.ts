/** Ways in which pairing is broken on purpose. What the machines do is changed where the shells call them. */
import {
  Secret,
  stepGateway,
  type CodeSecret,
  stepNode,
  type GatewayPairing,
  type GatewayPairingEffect,
  type PairingLimits,
} from "@quaymesh/identity";
import { BLIND } from "./joiner.ts";

/** What of pairing is broken. */
export interface BrokenPairing {
  readonly gatewayStep?: typeof stepGateway;
  readonly nodeStep?: typeof stepNode;
  /** Nodes leave out of the proof what TLS showed them. */
  readonly blind?: boolean;
  /** A start does not ask how many proofs were wrong before it. */
  readonly forgetsFailures?: boolean;
  readonly limits?: Partial<PairingLimits>;
}

/** A hello finds a code free that another one has claimed. */
export const noClaim: typeof stepGateway = (state, input) => {
  if (input.kind !== "hello") return stepGateway(state, input);
  const windows = new Map<string, PairingWindow>();
  for (const [id, window] of state.windows) {
    windows.set(
      id,
      Object.assign({}, window, {
        codes: window.codes.map(({ secret, failures }) => ({ secret, failures, claims: [] })),
      }),
    );
  }
  return stepGateway({ ...state, windows }, input);
};

/** A window has a place again as soon as a device has taken its last. */
export const staysOpen: typeof stepGateway = (state, input) =>
  withWindows(stepGateway(state, input), (window) => ({ ...window, places: Math.max(1, window.places) }));

/** The same of windows for which nobody is asked. */
export const placesWithoutEnd: typeof stepGateway = (state, input) =>
  withWindows(stepGateway(state, input), (window) =>
    window.preapproved ? { ...window, places: Math.max(1, window.places) } : window,
  );

/** The same of windows that two codes open: a device that has proved one leaves the other. */
export const otherCodeStaysOpen: typeof stepGateway = (state, input) =>
  withWindows(stepGateway(state, input), (window) =>
    window.codes.length > 1 ? { ...window, places: Math.max(1, window.places) } : window,
  );

/** A code that is burnt burns the other one of its window. */
export const burnsBoth: typeof stepGateway = (state, input) => {
  const step = stepGateway(state, input);
  const burnt = step.effects.find((effect) => effect.kind === "code-ended" && effect.reason === "burnt");
  const window = burnt?.kind === "code-ended" ? step.state.windows.get(burnt.windowId) : undefined;
  if (window === undefined) return step;
  const { windowId } = window;
  const windows = new Map(step.state.windows);
  windows.delete(windowId);
  const ends = window.codes.map(
    ({ secret }) => ({ kind: "code-ended", windowId, reason: "burnt", code: secret }) as const,
  );
  const effects = [...step.effects, ...ends, { kind: "window-ended", windowId, reason: "burnt" } as const];
  return { state: { ...step.state, windows }, effects };
};

/** A code that a node shows is taken from whoever has read it. */
export const ownCodeForAnyone: typeof stepGateway = (state, input) => {
  if (input.kind !== "hello") return stepGateway(state, input);
  const spkiSha256 = input.peer.nodeSpkiSha256;
  /** By what stands in for it during this step. */
  const own = new Map<CodeSecret, CodeSecret>();
  const open = (secret: CodeSecret): CodeSecret => {
    const standIn = { ...secret, spkiSha256 };
    own.set(standIn, secret);
    return standIn;
  };
  const begun = withWindows({ state, effects: [] }, (window) => withSecrets(window, open));
  const step = stepGateway(begun.state, input);
  return withWindows(step, (window) => withSecrets(window, (secret) => own.get(secret) ?? secret));
};

function withSecrets(window: PairingWindow, change: (secret: CodeSecret) => CodeSecret): PairingWindow {
  return { ...window, codes: window.codes.map((code) => ({ ...code, secret: change(code.secret) })) };
}

function withWindows(
  step: ReturnType<typeof stepGateway>,
  change: (window: PairingWindow) => PairingWindow,
): ReturnType<typeof stepGateway> {
  const windows = new Map([...step.state.windows].map(([id, window]) => [id, change(window)] as const));
  return { ...step, state: { ...step.state, windows } };
}

type PairingWindow = GatewayPairing["windows"] extends ReadonlyMap<string, infer W> ? W : never;

/** Whoever has proved a code is let in. */
export const noApproval: typeof stepGateway = (state, input) => {
  const step = stepGateway(state, input);
  let next = step.state;
  const effects: GatewayPairingEffect[] = [];
  for (const effect of step.effects) {
    effects.push(effect);
    if (effect.kind !== "ask") continue;
    const { requestId } = effect.request;
    const approved = stepGateway(next, { kind: "approve", requestId, deviceId: UNASKED_ID, now: input.now });
    next = approved.state;
    effects.push(...approved.effects);
  }
  return { state: next, effects };
};

/** A window ends, and its secret stays. */
export const keepsSecrets: typeof stepGateway = (state, input) => {
  const step = stepGateway(state, input);
  const effects = step.effects.map((effect) => {
    if (effect.kind !== "code-ended") return effect;
    return { ...effect, code: { kind: "pin", pin: new Secret("00000000") } as const };
  });
  return { ...step, effects };
};

/** The operator is shown words of something else. */
export const otherWords: typeof stepGateway = (state, input) => {
  const step = stepGateway(state, input);
  const effects = step.effects.map((effect) => {
    if (effect.kind !== "ask") return effect;
    const words = effect.request.words.toReversed() as unknown as typeof effect.request.words;
    return { ...effect, request: { ...effect.request, words } };
  });
  return { ...step, effects };
};

/** What TLS showed is in no proof: neither which keys, nor which mesh. */
export const blindGateway: typeof stepGateway = (state, input) => {
  if (input.kind !== "hello") return stepGateway(state, input);
  const { config } = state;
  const { nodeSpkiSha256, gatewaySpkiSha256, meshId } = BLIND;
  const peer = { ...input.peer, nodeSpkiSha256, gatewaySpkiSha256 };
  const step = stepGateway({ ...state, config: { ...config, meshId } }, { ...input, peer });
  const attempts = new Map(
    [...step.state.attempts].map(([id, attempt]) => {
      return [id, id === input.attemptId && "peer" in attempt ? { ...attempt, peer: input.peer } : attempt] as const;
    }),
  );
  const next: GatewayPairing = { ...step.state, config, attempts };
  return { ...step, state: next };
};

/** See {@link blindGateway}. */
export const blindNode: typeof stepNode = (state, input) => {
  if (state.kind !== "awaiting-proof" || input.kind !== "message" || input.message.type !== "proved") {
    return stepNode(state, input);
  }
  const channel = { ...state.setup.channel, meshId: input.message.mesh };
  return stepNode({ ...state, setup: { ...state.setup, channel } }, input);
};

const UNASKED_ID = "01JNASKEDNASKEDNASKEDNASKE";
