import type { PairHello } from "@quaymesh/protocol";
import { timingSafeEqualBytes, utf8 } from "../../bytes.ts";
import { OWN_CODE_RETRY_MS } from "../limits.ts";
import { pairingKeys, pairingShare } from "../transcript.ts";
import { budgetWaitMs, chargeSource, type SecretKind } from "./budget.ts";
import type { GatewayPairingInput } from "./port.ts";
import type { Attempt, Awaited, Code, CodeSecret, PairingRequest, PairingWindow } from "./state.ts";
import type { Turn } from "./turn.ts";

type HelloInput = Extract<GatewayPairingInput, { kind: "hello" }>;

/** A node says hello: it gets a share, whatever its code is worth. */
export function onHello(turn: Turn, input: HelloInput): void {
  const { attemptId, hello, peer } = input;
  const usable = usableCode(turn, input);
  // A code that a node shows itself is looked up by the node's key too, so nobody else can learn by asking whether a window is open for it, and there is nothing to guess: such a
  // node may knock until an operator has scanned its code, and pays nothing for it.
  if (hello.own === true && usable === undefined) {
    turn.failAttempt(attemptId, "PAIR_CLOSED", "no pairing window is open for this node", OWN_CODE_RETRY_MS);
    return;
  }
  if (turn.windows.size === 0) {
    turn.failAttempt(attemptId, "PAIR_CLOSED", "no pairing window is open");
    return;
  }
  const attempt = { source: peer.source, secret: secretKindOf(hello) };
  const waitMs = crowdingWaitMs(turn) || budgetWaitMs(turn.budget, turn.config.limits, attempt, turn.now);
  if (waitMs > 0) {
    turn.failAttempt(attemptId, "PAIR_RATE_LIMITED", "too many attempts; try again later", waitMs);
    return;
  }
  turn.budget = chargeSource(turn.budget, turn.config.limits, peer.source, turn.now);
  // The same work with the same inputs whether or not the code is worth anything.
  const secret = usable === undefined ? input.entropy.decoy : secretBytes(usable.code.secret);
  const { nonce, scalar, requestId } = input.entropy;
  const channel = { meshId: turn.config.meshId, ...peer };
  const share = { nonce, yb: pairingShare(secret, channel, scalar) };
  const { ya, ...said } = hello;
  const keys = pairingKeys({ channel, hello: said, ya, share, scalar, peerShare: ya });
  if (keys === undefined) {
    turn.failAttempt(attemptId, "PAIR_CODE_INVALID", "the code is not valid");
    return;
  }
  if (usable !== undefined) claim(turn, usable, attemptId);
  const deadline = turn.now + turn.config.limits.proofMs;
  const windowId = usable?.window.windowId;
  const base = { attemptId, peer, hello, windowId, keys, requestId, deviceId: input.deviceId, deadline };
  turn.attempts.set(attemptId, { kind: "proving", ...base });
  turn.effects.push({ kind: "send", attemptId, message: { type: "share", ...share } });
}

/** What a hello guesses at: 128 bits are named, a PIN is not. */
export function secretKindOf({ codeId }: Pick<PairHello, "codeId">): SecretKind {
  return codeId === undefined ? "pin" : "ticket";
}

/** The code of a window that a hello is about, if it is not burnt. */
export function codeOf(window: PairingWindow, hello: Pick<PairHello, "codeId" | "own">): Code | undefined {
  const kind = hello.own === true ? "node" : secretKindOf(hello);
  return window.codes.find(({ secret }) => secret.kind === kind);
}

/** The request in a window that a key has proved before. */
export function requestOf(turn: Turn, window: PairingWindow, spkiSha256: Uint8Array): PairingRequest | undefined {
  const requests = window.requests.flatMap((id) => turn.requests.get(id) ?? []);
  return requests.find((request) => timingSafeEqualBytes(request.spkiSha256, spkiSha256));
}

/** Whom a window awaits by this key: it had its place before a restart. */
export function awaitedOf({ awaited }: PairingWindow, spkiSha256: Uint8Array): Awaited | undefined {
  return awaited.find((each) => timingSafeEqualBytes(each.spkiSha256, spkiSha256));
}

/** Whether an attempt holds one of the half-open places. */
function isHalfOpen(attempt: Attempt): boolean {
  return attempt.kind !== "waiting";
}

/** How many requests wait for a decision. */
export function countPending(turn: Turn): number {
  return [...turn.requests.values()].filter(({ status }) => status.kind === "pending").length;
}

/** How long a newcomer has to wait because others are being served, in milliseconds; 0 when there is room. */
export function crowdingWaitMs(turn: Turn): number {
  const { halfOpen, pending, proofMs } = turn.config.limits;
  const open = [...turn.attempts.values()].filter(isHalfOpen).length;
  return open >= halfOpen || countPending(turn) >= pending ? proofMs : 0;
}

interface UsableCode {
  readonly window: PairingWindow;
  readonly code: Code;
  /** This key has its place already. */
  readonly back: boolean;
}

/** The code a hello names, if this node may try it now: one with a place to give, or one that this very key has proved before. */
function usableCode(turn: Turn, { hello, peer }: HelloInput): UsableCode | undefined {
  // No way out of the loops before their end: how long it takes must not say which code matched.
  let found: { readonly window: PairingWindow; readonly code: Code } | undefined;
  for (const window of turn.windows.values()) {
    for (const code of window.codes) if (names(code.secret, hello, peer.nodeSpkiSha256)) found = { window, code };
  }
  if (found === undefined) return undefined;
  const { window, code } = found;
  const { nodeSpkiSha256 } = peer;
  const back = requestOf(turn, window, nodeSpkiSha256) ?? awaitedOf(window, nodeSpkiSha256);
  if (back !== undefined) return { ...found, back: true };
  const free = turn.now < window.expiresAt && code.claims.length < window.places;
  return free ? { ...found, back: false } : undefined;
}

function claim(turn: Turn, { window, code, back }: UsableCode, attemptId: string): void {
  // Compare and set: this turn is the only writer, and a code is claimed in the same step that found it free.
  if (!back) turn.putCode(window.windowId, { ...code, claims: [...code.claims, attemptId] });
}

function names(secret: CodeSecret, { codeId, own }: PairHello, spkiSha256: Uint8Array): boolean {
  if (secret.kind === "pin") return codeId === undefined && own !== true;
  if (codeId === undefined || !timingSafeEqualBytes(secret.codeId, codeId)) return false;
  if (secret.kind === "ticket") return own !== true;
  return own === true && timingSafeEqualBytes(secret.spkiSha256, spkiSha256);
}

function secretBytes(secret: CodeSecret): Uint8Array {
  return secret.kind === "pin" ? utf8(secret.pin.reveal()) : secret.secret.reveal();
}
