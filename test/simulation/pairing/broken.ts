/** Ways in which pairing is broken on purpose. What the machines do is changed where the shells call them. */
import {
  Secret,
  stepGateway,
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
export const staysOpen: typeof stepGateway = (state, input) => {
  const step = stepGateway(state, input);
  const windows = new Map<string, PairingWindow>();
  for (const [id, window] of step.state.windows)
    windows.set(id, Object.assign({}, window, { places: Math.max(1, window.places) }));
  return { ...step, state: { ...step.state, windows } };
};

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
