import type { PairHello } from "@quaymesh/protocol";
import { timingSafeEqualBytes, utf8 } from "../../bytes.ts";
import { pairingKeys, pairingShare } from "../transcript.ts";
import { budgetWaitMs, chargeSource, type SecretKind } from "./budget.ts";
import type { GatewayPairingInput } from "./port.ts";
import type { Attempt, Code, CodeSecret } from "./state.ts";
import type { Turn } from "./turn.ts";

type HelloInput = Extract<GatewayPairingInput, { kind: "hello" }>;

/** A node says hello: it gets a share, whatever its code is worth. */
export function onHello(turn: Turn, input: HelloInput): void {
  const { attemptId } = input;
  if (turn.codes.size === 0) {
    turn.failAttempt(attemptId, "PAIR_CLOSED", "no pairing window is open");
    return;
  }
  const attempt = { source: input.peer.source, secret: secretKindOf(input.hello) };
  const waitMs = crowdingWaitMs(turn) || budgetWaitMs(turn.budget, turn.config.limits, attempt, turn.now);
  if (waitMs > 0) {
    turn.failAttempt(attemptId, "PAIR_RATE_LIMITED", "too many attempts; try again later", waitMs);
    return;
  }
  turn.budget = chargeSource(turn.budget, turn.config.limits, input.peer.source, turn.now);
  const code = usableCode(turn, input);
  // The same work with the same inputs whether or not the code is worth anything.
  const secret = code === undefined ? input.entropy.decoy : secretBytes(code.secret);
  const { nonce, scalar, requestId } = input.entropy;
  const channel = { meshId: turn.config.meshId, ...input.peer };
  const share = { nonce, yb: pairingShare(secret, channel, scalar) };
  const { ya, ...hello } = input.hello;
  const keys = pairingKeys({ channel, hello, ya, share, scalar, peerShare: ya });
  if (keys === undefined) {
    turn.failAttempt(attemptId, "PAIR_CODE_INVALID", "the code is not valid");
    return;
  }
  claim(turn, code, attemptId);
  const deadline = turn.now + turn.config.limits.proofMs;
  const base = { attemptId, peer: input.peer, hello: input.hello, windowId: code?.windowId, keys, requestId, deadline };
  turn.attempts.set(attemptId, { kind: "proving", ...base });
  turn.effects.push({ kind: "send", attemptId, message: { type: "share", ...share } });
}

/** What a hello guesses at: a ticket is named, a PIN is not. */
export function secretKindOf({ codeId }: Pick<PairHello, "codeId">): SecretKind {
  return codeId === undefined ? "pin" : "ticket";
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

/** The code a hello names, if this node may try it now: an open one, or one that this very key has proved before. */
function usableCode(turn: Turn, { hello, peer }: HelloInput): Code | undefined {
  // No way out of the loop before its end: how long it takes must not say which code matched.
  let found: Code | undefined;
  for (const code of turn.codes.values()) if (names(code.secret, hello.codeId)) found = code;
  if (found === undefined) return undefined;
  if (found.status.kind === "open") return found;
  if (found.status.kind === "claimed") return undefined;
  const request = turn.requests.get(found.status.requestId);
  const sameKey = request !== undefined && timingSafeEqualBytes(request.spkiSha256, peer.nodeSpkiSha256);
  return sameKey ? found : undefined;
}

function claim(turn: Turn, code: Code | undefined, attemptId: string): void {
  // Compare and set: this turn is the only writer, and an open code is claimed in the same step that found it open.
  if (code?.status.kind === "open") turn.codes.set(code.windowId, { ...code, status: { kind: "claimed", attemptId } });
}

function names(secret: CodeSecret, codeId: Uint8Array | undefined): boolean {
  if (secret.kind === "pin") return codeId === undefined;
  return codeId !== undefined && timingSafeEqualBytes(secret.codeId, codeId);
}

function secretBytes(secret: CodeSecret): Uint8Array {
  return secret.kind === "ticket" ? secret.secret.reveal() : utf8(secret.pin.reveal());
}
