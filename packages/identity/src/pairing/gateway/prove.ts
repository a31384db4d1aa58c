import { sha256 } from "@noble/hashes/sha2.js";
import type { PairProve } from "@quaymesh/protocol";
import { timingSafeEqualBytes } from "../../bytes.ts";
import type { PairingCode } from "../../errors.ts";
import { gatewayMac, nodeMac } from "../transcript.ts";
import { pairingWords } from "../words.ts";
import { chargeFailure, refundFailure, refundSource } from "./budget.ts";
import { approve } from "./decide.ts";
import { awaitedOf, codeOf, countPending, requestOf, secretKindOf } from "./hello.ts";
import type { CsrFinding } from "./port.ts";
import type { Attempt, PairingRequest, PairingWindow } from "./state.ts";
import type { Turn } from "./turn.ts";

type Inspecting = Extract<Attempt, { kind: "inspecting" }>;
type Persisting = Extract<Attempt, { kind: "persisting" }>;
type Enrolment = Extract<CsrFinding, { kind: "valid" }>["enrolment"];

/**
 * A proof arrives: it goes to disk before anybody looks at it, so that no crash makes a guess free. It counts as one over all codes only where the run has a code's secret in
 * it: against a random one nothing can be guessed, and whoever sends such proofs would lock everybody else out. Their source pays all the same, with its token.
 */
export function onProve(turn: Turn, attemptId: string, prove: PairProve): void {
  const attempt = turn.attempts.get(attemptId);
  if (attempt?.kind !== "proving") return;
  const secret = secretKindOf(attempt.hello);
  const charged = chargeFailure(turn.budget, secret, turn.now);
  if (attempt.windowId !== undefined) turn.budget = charged;
  const deadline = turn.now + turn.config.limits.proofMs;
  turn.attempts.set(attemptId, { ...attempt, kind: "persisting", prove, gone: false, deadline, chargedAt: turn.now });
  const { windowId, peer } = attempt;
  turn.effects.push({ kind: "persist", attemptId, windowId, secret, source: peer.source, at: turn.now });
}

/** The guess is on disk: judge it. */
export function onPersisted(turn: Turn, attemptId: string): void {
  const attempt = turn.attempts.get(attemptId);
  if (attempt?.kind !== "persisting") return;
  const proved = timingSafeEqualBytes(nodeMac(attempt.keys), attempt.prove.mac);
  if (!proved || attempt.windowId === undefined || attempt.gone || !turn.windows.has(attempt.windowId)) {
    judgeWrong(turn, attempt);
    return;
  }
  turn.budget = refundFailure(turn.budget, secretKindOf(attempt.hello), attempt.chargedAt);
  turn.budget = refundSource(turn.budget, turn.config.limits, attempt.peer.source, turn.now);
  turn.effects.push({ kind: "settle", attemptId, outcome: "proved" });
  if (!timingSafeEqualBytes(sha256(attempt.prove.csr), attempt.hello.csrHash)) {
    refuse(turn, attempt, "PAIR_CSR_INVALID", "the request is not the one that was announced");
    return;
  }
  const { gone: _gone, chargedAt: _chargedAt, ...base } = attempt;
  turn.attempts.set(attemptId, { ...base, kind: "inspecting" });
  turn.effects.push({ kind: "inspect-csr", attemptId, csr: attempt.prove.csr });
}

/** The guess could not be recorded: it is not judged, so nothing is learned from it, and the code is free again. */
export function onPersistFailed(turn: Turn, attemptId: string): void {
  const attempt = turn.attempts.get(attemptId);
  if (attempt?.kind !== "persisting") return;
  refuse(turn, attempt, "PAIR_UNAVAILABLE", "the gateway cannot record this attempt");
}

/** The shell has looked at the CSR of a node that proved itself. */
export function onCsrInspected(turn: Turn, attemptId: string, finding: CsrFinding): void {
  const attempt = turn.attempts.get(attemptId);
  if (attempt?.kind !== "inspecting") return;
  if (finding.kind === "invalid") {
    refuse(turn, attempt, "PAIR_CSR_INVALID", finding.detail);
  } else if (!timingSafeEqualBytes(finding.spkiSha256, attempt.peer.nodeSpkiSha256)) {
    refuse(turn, attempt, "PAIR_KEY_MISMATCH", "the request is for another key than the connection's");
  } else if (finding.enrolment.kind === "revoked") {
    refuse(turn, attempt, "DEVICE_REVOKED", "this key belongs to a device that was revoked");
  } else {
    attach(turn, attempt, finding.enrolment);
  }
}

/** A wrong code, an unknown one, a used one: one answer. */
function judgeWrong(turn: Turn, attempt: Persisting): void {
  const { attemptId, windowId } = attempt;
  turn.effects.push({ kind: "settle", attemptId, outcome: "failed" });
  const window = turn.window(windowId);
  const code = window === undefined ? undefined : codeOf(window, attempt.hello);
  if (window !== undefined && code !== undefined) {
    const failures = code.failures + 1;
    if (failures >= turn.config.limits.failuresPerCode) turn.burnCode(window.windowId, code);
    else turn.putCode(window.windowId, { ...code, failures });
  }
  turn.releaseClaim(attemptId, windowId);
  if (attempt.gone) turn.attempts.delete(attemptId);
  else turn.failAttempt(attemptId, "PAIR_CODE_INVALID", "the code is not valid");
}

function refuse(turn: Turn, attempt: Inspecting | Persisting, code: PairingCode, message: string): void {
  turn.releaseClaim(attempt.attemptId, attempt.windowId);
  if (attempt.kind === "persisting" && attempt.gone) turn.attempts.delete(attempt.attemptId);
  else turn.failAttempt(attempt.attemptId, code, message);
}

/** Bind a stream that proved itself to its request: a new one, or the one it had before it was cut off. */
function attach(turn: Turn, attempt: Inspecting, enrolment: Enrolment): void {
  const window = turn.window(attempt.windowId);
  const known = window === undefined ? undefined : requestOf(turn, window, attempt.peer.nodeSpkiSha256);
  if (window === undefined || (known === undefined && !hasPlace(window, attempt))) {
    turn.releaseClaim(attempt.attemptId, attempt.windowId);
    turn.failAttempt(attempt.attemptId, "PAIR_CODE_INVALID", "the code is not valid");
    return;
  }
  if (known === undefined && countPending(turn) >= turn.config.limits.pending) {
    turn.releaseClaim(attempt.attemptId, attempt.windowId);
    const { proofMs } = turn.config.limits;
    turn.failAttempt(attempt.attemptId, "PAIR_RATE_LIMITED", "too many devices wait for approval", proofMs);
    return;
  }
  const { attemptId } = attempt;
  const request = known === undefined ? takePlace(turn, attempt, window, enrolment) : rejoin(turn, attempt, known);
  const { requestId } = request;
  turn.requests.set(requestId, request);
  turn.releaseClaim(attemptId, window.windowId);
  turn.attempts.set(attemptId, { kind: "waiting", attemptId, requestId });
  const { root, meshId: mesh } = turn.config;
  const mac = gatewayMac(attempt.keys, { root, mesh, requestId });
  turn.effects.push({ kind: "send", attemptId, message: { type: "proved", mac, root, mesh, requestId } });
  const preapproved = known === undefined ? preapprovedDevice(window, attempt, enrolment) : undefined;
  if (request.status.kind === "pending") {
    turn.effects.push({ kind: "ask", request, preapproved: preapproved !== undefined });
  }
  if (request.status.kind === "issued") turn.effects.push({ kind: "send", attemptId, message: request.status.issued });
  if (preapproved !== undefined) approve(turn, request, preapproved, "window");
}

/** Whether an attempt that proved the code may have one of the places that are left: the code is still claimed by it, or it had one before. The window may have closed or changed hands meanwhile. */
function hasPlace(window: PairingWindow, { attemptId, hello, peer }: Inspecting): boolean {
  if (awaitedOf(window, peer.nodeSpkiSha256) !== undefined) return true;
  return window.places > 0 && codeOf(window, hello)?.claims.includes(attemptId) === true;
}

/** Compare and set, in the step that found a place free: devices that prove a code at once get no more places than there are. */
function takePlace(turn: Turn, attempt: Inspecting, window: PairingWindow, enrolment: Enrolment): PairingRequest {
  const { windowId, places, awaited } = window;
  const back = awaitedOf(window, attempt.peer.nodeSpkiSha256);
  const request = { ...newRequest(turn, attempt, windowId, deviceOf(enrolment)), awaited: back };
  const requests = [...window.requests, request.requestId];
  const left = back === undefined ? { places: places - 1 } : { awaited: awaited.filter((each) => each !== back) };
  turn.windows.set(windowId, { ...window, ...left, requests });
  return request;
}

/** The device to let in without asking, where the operator said so beforehand. Never one that waits for an operator's decision, or that is to be another. */
function preapprovedDevice(window: PairingWindow, attempt: Inspecting, enrolment: Enrolment): string | undefined {
  if (!window.preapproved) return undefined;
  if (enrolment.kind !== "device") return enrolment.kind === "none" ? (window.deviceId ?? attempt.deviceId) : undefined;
  const { deviceId, frozen } = enrolment;
  return frozen || (window.deviceId ?? deviceId) !== deviceId ? undefined : deviceId;
}

function deviceOf(enrolment: Enrolment): string | undefined {
  return enrolment.kind === "device" ? enrolment.deviceId : undefined;
}

function newRequest(
  turn: Turn,
  attempt: Inspecting,
  windowId: string,
  enrolledAs: string | undefined,
): Omit<PairingRequest, "awaited"> {
  const { peer, hello, prove, keys, requestId, attemptId } = attempt;
  return {
    requestId,
    windowId,
    name: hello.name,
    platform: hello.platform,
    source: peer.source,
    spkiSha256: peer.nodeSpkiSha256,
    csr: prove.csr,
    words: pairingWords(keys.transcript, prove.csr),
    enrolledAs,
    status: { kind: "pending" },
    attemptId,
    expiresAt: turn.now + turn.config.limits.approvalMs,
  };
}

function rejoin(turn: Turn, attempt: Inspecting, known: PairingRequest): PairingRequest {
  const { attemptId, prove, keys } = attempt;
  if (known.attemptId !== undefined) {
    turn.failAttempt(known.attemptId, "PAIR_UNAVAILABLE", "this device has come back on another connection");
  }
  if (known.status.kind !== "pending") return { ...known, attemptId };
  return { ...known, attemptId, csr: prove.csr, words: pairingWords(keys.transcript, prove.csr) };
}
