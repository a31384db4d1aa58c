/** The node's side of pairing. Sans-IO: `startNodePairing` and `stepNode` only compute; the shell sends, stores and shows. */
import { sha256 } from "@noble/hashes/sha2.js";
import type {
  PairHello,
  PairIssued,
  PairProve,
  PairProved,
  PairShare,
  PairToGateway,
  PairToNode,
} from "@quaymesh/protocol";
import { timingSafeEqualBytes, utf8 } from "../bytes.ts";
import type { Secret } from "../secret.ts";
import { NODE_ANSWER_MS, NODE_APPROVAL_MS } from "./limits.ts";
import { gatewayMac, nodeMac, type PairingChannel, type PairingKeys, pairingKeys, pairingShare } from "./transcript.ts";
import { type PairingWords, pairingWords } from "./words.ts";

/** What the node knows the gateway by. */
export type NodeCode =
  | { readonly kind: "ticket"; readonly codeId: Uint8Array; readonly secret: Secret<Uint8Array> }
  | { readonly kind: "pin"; readonly pin: Secret<string> }
  /** A code that this node made and shows. */
  | { readonly kind: "node"; readonly codeId: Uint8Array; readonly secret: Secret<Uint8Array> };

/** Everything an attempt starts from. Times are Unix milliseconds. */
export interface NodePairingSetup {
  readonly code: NodeCode;
  /** As seen in this TLS session, the gateway's chain judged already. */
  readonly channel: PairingChannel;
  /** The root the gateway's chain ends in, DER. */
  readonly root: Uint8Array;
  readonly name: string;
  readonly platform: { readonly os: string; readonly arch: string };
  /** A request that was never used before; the words rely on it. */
  readonly csr: Uint8Array;
  /** 16 random bytes. */
  readonly nonce: Uint8Array;
  /** 32 random bytes. */
  readonly scalar: Uint8Array;
  readonly now: number;
}

/** Where an attempt stands. Each state holds what that state knows. */
export type NodePairing =
  | {
      readonly kind: "awaiting-share";
      readonly setup: NodePairingSetup;
      readonly hello: PairHello;
      readonly deadline: number;
    }
  | {
      readonly kind: "awaiting-proof";
      readonly setup: NodePairingSetup;
      readonly keys: PairingKeys;
      readonly deadline: number;
    }
  | {
      readonly kind: "awaiting-approval";
      readonly requestId: string;
      readonly words: PairingWords;
      readonly deadline: number;
    }
  | { readonly kind: "storing"; readonly issued: PairIssued }
  | { readonly kind: "paired"; readonly deviceId: string }
  | { readonly kind: "failed" };

/** What happens to an attempt. */
export type NodePairingInput =
  | { readonly kind: "message"; readonly now: number; readonly message: PairToNode }
  /** The gateway answered with an error frame. */
  | {
      readonly kind: "error";
      readonly code: string;
      readonly message: string;
      readonly retryAfterMs?: number | undefined;
    }
  /** The stream or the connection ended. */
  | { readonly kind: "gone" }
  | { readonly kind: "tick"; readonly now: number }
  /** The `store` effect is done. */
  | { readonly kind: "stored" }
  /** The `store` effect failed, or the certificate was not in order. The shell keeps the cause. */
  | { readonly kind: "store-failed"; readonly code: string; readonly message: string };

/** What the shell is asked to do, in this order. */
export type NodePairingEffect =
  | { readonly kind: "send"; readonly message: PairHello | PairToGateway }
  /** The gateway proved that it knows the secret: keep its root, and refuse any other from now on. */
  | { readonly kind: "pin"; readonly root: Uint8Array; readonly meshId: string }
  | { readonly kind: "show-words"; readonly words: PairingWords }
  /** Verify the chain (`verifyIssuedChain`) and store it durably; answer `stored` or `store-failed`. */
  | { readonly kind: "store"; readonly issued: PairIssued }
  | { readonly kind: "paired"; readonly deviceId: string }
  /** Over. `code` is the gateway's own (`PairingCode`) or one that the node found (`NodePairingCode`). */
  | {
      readonly kind: "failed";
      readonly code: string;
      readonly message: string;
      readonly retryAfterMs?: number | undefined;
    };

/** A state and what is to be done. */
export interface NodePairingStep {
  readonly state: NodePairing;
  readonly effects: readonly NodePairingEffect[];
}

/** Begin an attempt: the hello. */
export function startNodePairing(setup: NodePairingSetup): NodePairingStep {
  const hello: PairHello = {
    v: 1,
    method: "pair",
    ...(setup.code.kind === "pin" ? {} : { codeId: setup.code.codeId }),
    ...(setup.code.kind === "node" ? { own: true } : {}),
    nonce: setup.nonce,
    ya: pairingShare(secretOf(setup.code), setup.channel, setup.scalar),
    name: setup.name,
    platform: { ...setup.platform },
    csrHash: sha256(setup.csr),
  };
  const state = { kind: "awaiting-share", setup, hello, deadline: setup.now + NODE_ANSWER_MS } as const;
  return { state, effects: [{ kind: "send", message: hello }] };
}

/** Advance an attempt by one input. A finished attempt stays as it is. */
export function stepNode(state: NodePairing, input: NodePairingInput): NodePairingStep {
  if (state.kind === "paired" || state.kind === "failed") return { state, effects: [] };
  // The certificate is here: what becomes of the stream no longer matters.
  if (state.kind === "storing" && (input.kind === "gone" || input.kind === "error")) return { state, effects: [] };
  switch (input.kind) {
    case "message":
      return onMessage(state, input.message, input.now);
    case "error":
      return fail(input.code, input.message, input.retryAfterMs);
    case "gone":
      return fail("PAIR_PROTOCOL", "the gateway ended the pairing without a word");
    case "tick":
      return onTick(state, input.now);
    case "stored":
      return state.kind === "storing" ? finish(state.issued) : { state, effects: [] };
    case "store-failed":
      return fail(input.code, input.message);
    default:
      return input satisfies never;
  }
}

/** When the shell must give a `tick` at the latest; `undefined` while nothing runs out. */
export function nodePairingDeadline(state: NodePairing): number | undefined {
  return "deadline" in state ? state.deadline : undefined;
}

function onMessage(state: NodePairing, message: PairToNode, now: number): NodePairingStep {
  if (state.kind === "awaiting-share" && message.type === "share") return onShare(state, message, now);
  if (state.kind === "awaiting-proof" && message.type === "proved") return onProved(state, message, now);
  if (state.kind === "awaiting-approval" && message.type === "issued") {
    return { state: { kind: "storing", issued: message }, effects: [{ kind: "store", issued: message }] };
  }
  return fail("PAIR_PROTOCOL", `the gateway sent ${message.type} while ${state.kind}`);
}

function onShare(
  state: Extract<NodePairing, { kind: "awaiting-share" }>,
  share: PairShare,
  now: number,
): NodePairingStep {
  const { setup, hello } = state;
  const { ya, ...fields } = hello;
  const keys = pairingKeys({
    channel: setup.channel,
    hello: fields,
    ya,
    share,
    scalar: setup.scalar,
    peerShare: share.yb,
  });
  if (keys === undefined) return fail("PAKE_CONFIRM_FAILED", "the gateway's share is no valid element");
  const prove: PairProve = { type: "prove", mac: nodeMac(keys), csr: setup.csr };
  return {
    state: { kind: "awaiting-proof", setup, keys, deadline: now + NODE_ANSWER_MS },
    effects: [{ kind: "send", message: prove }],
  };
}

function onProved(
  state: Extract<NodePairing, { kind: "awaiting-proof" }>,
  proved: PairProved,
  now: number,
): NodePairingStep {
  const { setup, keys } = state;
  const { root, mesh, requestId } = proved;
  if (!timingSafeEqualBytes(gatewayMac(keys, { root, mesh, requestId }), proved.mac)) {
    return fail("PAKE_CONFIRM_FAILED", "the gateway did not prove that it knows the code; someone may be in between");
  }
  if (!timingSafeEqualBytes(root, setup.root) || mesh !== setup.channel.meshId) {
    return fail("GATEWAY_PIN_MISMATCH", "the gateway names another root than the one its connection shows");
  }
  const words = pairingWords(keys.transcript, setup.csr);
  return {
    state: { kind: "awaiting-approval", requestId, words, deadline: now + NODE_APPROVAL_MS },
    effects: [
      { kind: "pin", root, meshId: mesh },
      { kind: "show-words", words },
    ],
  };
}

function finish(issued: PairIssued): NodePairingStep {
  const { deviceId } = issued;
  return {
    state: { kind: "paired", deviceId },
    effects: [
      { kind: "send", message: { type: "done" } },
      { kind: "paired", deviceId },
    ],
  };
}

function onTick(state: NodePairing, now: number): NodePairingStep {
  const deadline = nodePairingDeadline(state);
  if (deadline === undefined || now < deadline) return { state, effects: [] };
  if (state.kind === "awaiting-approval") return fail("PAIR_APPROVAL_TIMEOUT", "nobody approved this device in time");
  return fail("PAIR_TIMEOUT", "the gateway did not answer in time");
}

function fail(code: string, message: string, retryAfterMs?: number): NodePairingStep {
  return { state: { kind: "failed" }, effects: [{ kind: "failed", code, message, retryAfterMs }] };
}

function secretOf(code: NodeCode): Uint8Array {
  return code.kind === "pin" ? utf8(code.pin.reveal()) : code.secret.reveal();
}
