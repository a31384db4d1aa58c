/** The gateway's side of pairing: windows, attempts and requests in one machine. Sans-IO; one shell feeds it, one input at a time. */
import { onActivated, onApprove, onDeny, onDone, onGone, onIssued, onIssueFailed, onOpen } from "./decide.ts";
import { onHello } from "./hello.ts";
import type { GatewayPairingEffect, GatewayPairingInput } from "./port.ts";
import { onCsrInspected, onPersisted, onPersistFailed, onProve } from "./prove.ts";
import { onRenew, onRenewalFailed, onRenewalInspected, onRenewalIssued } from "./renew.ts";
import type { GatewayPairing, PairingWindow } from "./state.ts";
import { isClaimed, Turn } from "./turn.ts";

/** A state and what is to be done. */
export interface GatewayPairingStep {
  readonly state: GatewayPairing;
  readonly effects: readonly GatewayPairingEffect[];
}

/** Advance by one input. The old state stays usable. */
export function stepGateway(state: GatewayPairing, input: GatewayPairingInput): GatewayPairingStep {
  const turn = new Turn(state, input.now);
  expire(turn);
  apply(turn, input);
  return { state: turn.finish(), effects: turn.effects };
}

/** When the shell must give a `tick` at the latest; `undefined` while nothing runs out. */
export function gatewayPairingDeadline(state: GatewayPairing): number | undefined {
  const deadlines = [
    ...[...state.windows.values()].filter(isQuiet).map(({ expiresAt }) => expiresAt),
    ...[...state.attempts.values()].flatMap((attempt) => (attempt.kind === "waiting" ? [] : [attempt.deadline])),
    ...[...state.requests.values()].map(({ expiresAt }) => expiresAt),
  ];
  return deadlines.length === 0 ? undefined : Math.min(...deadlines);
}

/** Whether the pairing endpoint has anything to do: it may be stopped when not. */
export function isPairingOpen(state: GatewayPairing): boolean {
  return state.windows.size > 0 || state.attempts.size > 0;
}

function apply(turn: Turn, input: GatewayPairingInput): void {
  switch (input.kind) {
    case "open":
      return onOpen(turn, input);
    case "close":
      return turn.endWindow(input.windowId, "closed");
    case "hello":
      return onHello(turn, input);
    case "prove":
      return onProve(turn, input.attemptId, input.prove);
    case "persisted":
      return onPersisted(turn, input.attemptId);
    case "persist-failed":
      return onPersistFailed(turn, input.attemptId);
    case "csr-inspected":
      return onCsrInspected(turn, input.attemptId, input.finding);
    case "approve":
      return onApprove(turn, input);
    case "deny":
      return onDeny(turn, input);
    case "issued":
      return onIssued(turn, input);
    case "issue-failed":
      return onIssueFailed(turn, input);
    case "renew":
      return onRenew(turn, input);
    case "renewal-inspected":
      return onRenewalInspected(turn, input);
    case "renewal-issued":
      return onRenewalIssued(turn, input);
    case "renewal-failed":
      return onRenewalFailed(turn, input);
    case "done":
      return onDone(turn, input.attemptId);
    case "gone":
      return onGone(turn, input.attemptId);
    case "activated":
      return onActivated(turn, input.deviceId);
    case "tick":
      return undefined;
    default:
      return input satisfies never;
  }
}

/** Apply every deadline that has passed. A window that somebody is in outlives its own: what began in time may end. */
function expire(turn: Turn): void {
  for (const attempt of turn.attempts.values()) {
    if (attempt.kind === "waiting" || turn.now < attempt.deadline) continue;
    turn.releaseClaim(attempt.attemptId, attempt.windowId);
    if (attempt.kind === "proving")
      turn.failAttempt(attempt.attemptId, "PAIR_TIMEOUT", "the proof did not come in time");
    else turn.failAttempt(attempt.attemptId, "PAIR_UNAVAILABLE", "the gateway is too slow");
  }
  for (const request of turn.requests.values()) {
    if (turn.now < request.expiresAt) continue;
    const message =
      request.status.kind === "pending"
        ? "nobody approved this device in time"
        : "the certificate was not taken in time";
    turn.endRequest(request, "expired", { code: "PAIR_APPROVAL_TIMEOUT", message });
    turn.endIfOver(request.windowId, "expired");
  }
  for (const { windowId } of turn.windows.values()) turn.endIfOver(windowId, "expired");
}

/** Nobody is in it: nothing but its own time ends it. */
function isQuiet(window: PairingWindow): boolean {
  return window.requests.length === 0 && !isClaimed(window);
}
