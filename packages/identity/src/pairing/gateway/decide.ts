import type { GatewayPairingInput } from "./port.ts";
import type { Approver, Code, CodeSecret, PairingRequest } from "./state.ts";
import type { Turn } from "./turn.ts";

type Input<K extends GatewayPairingInput["kind"]> = Extract<GatewayPairingInput, { kind: K }>;

/** An operator opens a window. */
export function onOpen(turn: Turn, { codes, uses, failures = 0, awaited = [], ...opened }: Input<"open">): void {
  const { windowId, expiresAt, preapproved, deviceId } = opened;
  const reject = (reason: "exists" | "pin-window-open" | "expired"): void => {
    turn.effects.push({ kind: "rejected", input: "open", id: windowId, reason });
  };
  if (turn.windows.has(windowId)) return reject("exists");
  if (turn.now >= expiresAt) return reject("expired");
  const isPin = ({ kind }: CodeSecret): boolean => kind === "pin";
  // A PIN has no name on the wire, so there can be one at a time.
  const otherPin = [...turn.windows.values()].some((window) => window.codes.some(({ secret }) => isPin(secret)));
  if (otherPin && codes.some(isPin)) return reject("pin-window-open");
  const own = codes.map((secret): Code => ({ secret, failures, claims: [] }));
  const isNew = { codes: own, places: uses, requests: [], awaited };
  turn.windows.set(windowId, { windowId, expiresAt, preapproved, deviceId, ...isNew });
}

/** An operator lets a device in. Only what is pending can be approved, and only once. */
export function onApprove(turn: Turn, { requestId, deviceId: offered }: Input<"approve">): void {
  const request = turn.requests.get(requestId);
  if (request?.status.kind !== "pending") {
    const reason = request === undefined ? "unknown" : "decided";
    turn.effects.push({ kind: "rejected", input: "approve", id: requestId, reason });
    return;
  }
  approve(turn, request, request.enrolledAs ?? offered, "operator");
}

/** Let a pending request's device in, as `deviceId`. */
export function approve(turn: Turn, request: PairingRequest, deviceId: string, by: Approver): void {
  const { requestId, csr, spkiSha256, name, windowId } = request;
  const expiresAt = turn.now + turn.config.limits.approvalMs;
  turn.requests.set(requestId, { ...request, status: { kind: "approved", deviceId, by }, expiresAt });
  turn.effects.push({ kind: "issue", requestId, deviceId, name, csr, spkiSha256, windowId, by });
}

/** An operator does not. */
export function onDeny(turn: Turn, { requestId }: Input<"deny">): void {
  const request = turn.requests.get(requestId);
  if (request?.status.kind !== "pending") {
    const reason = request === undefined ? "unknown" : "decided";
    turn.effects.push({ kind: "rejected", input: "deny", id: requestId, reason });
    return;
  }
  turn.endRequest(request, "denied", { code: "PAIR_DENIED", message: "the operator denied this device" });
  turn.endIfOver(request.windowId, "denied");
}

/** The certificate is committed: hand it over now, or when the device comes back. */
export function onIssued(turn: Turn, { requestId, issued }: Input<"issued">): void {
  const request = turn.requests.get(requestId);
  if (request?.status.kind !== "approved") return;
  const expiresAt = turn.now + turn.config.limits.approvalMs;
  turn.requests.set(requestId, { ...request, status: { kind: "issued", issued }, expiresAt });
  if (request.attemptId === undefined) return;
  turn.effects.push({ kind: "send", attemptId: request.attemptId, message: issued });
}

/** It could not be issued. The device may try again with the same code, unless it was revoked. */
export function onIssueFailed(turn: Turn, { requestId, revoked }: Input<"issue-failed">): void {
  const request = turn.requests.get(requestId);
  if (request?.status.kind !== "approved") return;
  if (revoked) {
    turn.endRequest(request, "revoked", { code: "DEVICE_REVOKED", message: "this device was revoked meanwhile" });
  } else {
    const message = "the gateway could not issue a certificate";
    turn.endRequest(request, "failed", { code: "PAIR_UNAVAILABLE", message });
  }
  const window = turn.windows.get(request.windowId);
  if (window === undefined) return;
  const { places, awaited } = window;
  const back = request.awaited === undefined ? { places: places + 1 } : { awaited: [...awaited, request.awaited] };
  turn.windows.set(window.windowId, { ...window, ...back });
  turn.endIfOver(window.windowId, "expired");
}

/** The node has stored its certificate: the code has served. */
export function onDone(turn: Turn, attemptId: string): void {
  const attempt = turn.attempts.get(attemptId);
  if (attempt?.kind !== "waiting") return;
  const request = turn.requests.get(attempt.requestId);
  // A node that says it is done before it got anything is not believed.
  if (request?.status.kind !== "issued") return;
  turn.attempts.delete(attemptId);
  turn.requests.set(request.requestId, { ...request, attemptId: undefined });
  const window = turn.windows.get(request.windowId);
  const last =
    window?.places === 0 && window.awaited.length === 0 && window.requests.every((id) => id === request.requestId);
  if (last) turn.endWindow(request.windowId, "paired");
}

/** The device has its first session. */
export function onActivated(turn: Turn, deviceId: string): void {
  for (const request of turn.requests.values()) {
    if (request.status.kind !== "issued" || request.status.issued.deviceId !== deviceId) continue;
    turn.endRequest(request, "active");
    turn.endIfOver(request.windowId, "paired");
  }
  for (const window of turn.windows.values()) {
    const awaited = window.awaited.filter((each) => each.deviceId !== deviceId);
    if (awaited.length === window.awaited.length) continue;
    turn.windows.set(window.windowId, { ...window, awaited });
    turn.endIfOver(window.windowId, "paired");
  }
}

/** A stream ended by itself. */
export function onGone(turn: Turn, attemptId: string): void {
  const attempt = turn.attempts.get(attemptId);
  if (attempt === undefined) return;
  if (attempt.kind === "persisting") {
    // Its guess is on its way to disk and stays one: leaving early must not make it free.
    turn.attempts.set(attemptId, { ...attempt, gone: true });
    return;
  }
  turn.attempts.delete(attemptId);
  if (attempt.kind === "waiting") {
    const request = turn.requests.get(attempt.requestId);
    if (request !== undefined) turn.requests.set(request.requestId, { ...request, attemptId: undefined });
  } else {
    turn.releaseClaim(attemptId, attempt.windowId);
  }
}
