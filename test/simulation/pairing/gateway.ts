import {
  stepGateway,
  type Authority,
  type CodeSecret,
  type EndpointCertificate,
  type GatewayPairing,
} from "@quaymesh/identity";
import { parsePairToGateway } from "@quaymesh/protocol";
import { silentLogger, type Logger } from "../../../packages/gateway/src/logger.ts";
import type { PeerListener } from "../../../packages/gateway/src/pairing/child-run.ts";
import { PairingDesk } from "../../../packages/gateway/src/pairing/desk.ts";
import { DEFAULT_PAIRING_LIMITS } from "../../../packages/gateway/src/pairing/limits.ts";
import type { Store } from "../../../packages/gateway/src/store/port.ts";
import type { CoreOnline } from "../actors/gateway.ts";
import type { ModelPairing } from "../model/pairing.ts";
import { GATEWAY_ADDRESS, type SimNetwork } from "../net/network.ts";
import { standIn } from "../stand-in.ts";
import type { BrokenPairing } from "./broken.ts";
import { SimEndpoint } from "./endpoint.ts";
import { TAKEN } from "./transitions.ts";

/** Small enough to be reached. */
export const ATTEMPT_LIMITS = {
  failuresPerCode: 3,
  failuresPerHour: 3,
  failuresPerDay: 6,
  sourceBurst: 4,
  sourceRefillMs: 10_000,
  halfOpen: 4,
  pending: 3,
  approvalMs: 20_000,
} as const;

/** What a gateway's pairing is put together from. */
export interface PairingSite {
  readonly online: CoreOnline;
  readonly network: SimNetwork;
  readonly authority: Authority;
  /** The certificate of the endpoint's next start. */
  readonly issueLeaf: (now: number) => Promise<EndpointCertificate>;
  readonly model: ModelPairing;
  readonly door: "window" | "always";
  readonly broken: BrokenPairing;
  /** Run a check of the model. */
  readonly guard: (check: () => void) => void;
  /** These codes are over. */
  readonly onEnded: (codes: readonly CodeOf[]) => void;
  readonly onError: (what: string, cause: unknown) => void;
}

/** What opens a window, as the machine holds it. */
export type CodeOf = CodeSecret;

/** The real desk on the real core, with its endpoint's process played. */
export async function openDesk(site: PairingSite): Promise<{ desk: PairingDesk; endpoint: SimEndpoint }> {
  const { online, authority, model, door, broken, guard, onError } = site;
  const { core, process, store } = online;
  const logger: Logger = {
    ...silentLogger,
    error: (fields, message) => onError(message, fields["err"] ?? fields),
  };
  let endpoint: SimEndpoint | undefined;
  const desk = await PairingDesk.open({
    authority,
    store: broken.forgetsFailures === true ? forgetful(store) : store,
    devices: core.devices,
    sessions: core.sessions,
    openEndpoint: (peers) => {
      endpoint = new SimEndpoint({
        process,
        network: site.network,
        issueLeaf: site.issueLeaf,
        peers: watched(peers, model),
        onSend: (peer, frame) => guard(() => model.sent(peer, frame)),
      });
      return endpoint;
    },
    roots: () => ({ type: "roots", statements: [], settled: true }),
    ticketAddresses: (bound) => bound.map(({ host, port }) => ({ host, port })),
    meshAddresses: () => [`${GATEWAY_ADDRESS.host}:${String(GATEWAY_ADDRESS.port)}`],
    door,
    limits: {
      ...DEFAULT_PAIRING_LIMITS,
      attempts: { ...ATTEMPT_LIMITS, ...broken.limits },
      endpoint: { ...DEFAULT_PAIRING_LIMITS.endpoint, lingerMs: 10_000 },
    },
    clock: process.gatewayClock,
    logger,
    step: (state, input) => {
      TAKEN.onGateway(state, input);
      const step = (broken.gatewayStep ?? stepGateway)(state, input);
      for (const effect of step.effects) if (effect.kind === "request-ended") model.requestEnded(effect.requestId);
      const left = new Set(secretsOf(step.state));
      site.onEnded(secretsOf(state).filter((secret) => !left.has(secret)));
      return step;
    },
  });
  if (endpoint === undefined) throw new Error("a desk without an endpoint");
  return { desk, endpoint };
}

function secretsOf({ windows }: GatewayPairing): readonly CodeSecret[] {
  return [...windows.values()].flatMap(({ codes }) => codes.map(({ secret }) => secret));
}

function watched(peers: PeerListener, model: ModelPairing): PeerListener {
  return {
    onPeer: (peer, frame) => peers.onPeer(peer, frame),
    onGone: (peer) => peers.onGone(peer),
    onFrame: (peer, frame) => {
      if (parsePairToGateway(frame)?.type === "prove") model.proof(peer);
      peers.onFrame(peer, frame);
    },
  };
}

/** What failed before the start is forgotten. */
function forgetful(store: Store): Store {
  const pairing = standIn(store.pairing, { countFailures: async () => ({ hour: 0, day: 0 }) });
  return { ...store, pairing };
}

/** Whether nobody can read the code any more. */
export function isErased(secret: CodeOf): boolean {
  try {
    if (secret.kind === "pin") secret.pin.reveal();
    else secret.secret.reveal();
    return false;
  } catch {
    return true;
  }
}
