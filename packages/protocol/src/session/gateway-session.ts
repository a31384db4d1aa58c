/** The gateway's side of `session.open`. docs/wire.md, "Session". */
import type { GatewayControlMessage, Hello, NodeControlMessage, Welcome } from "../messages/session.ts";
import { CLOSE_CODES } from "../transport/close.ts";
import {
  HELLO_TIMEOUT_MS,
  MISSED_HEARTBEATS,
  type GatewaySession,
  type GatewaySessionEffect,
  type GatewaySessionInput,
  type OpenGatewaySession,
  type SessionEnd,
} from "./gateway-session-state.ts";
import { stay, type Step } from "./step.ts";

type GatewayStep = Step<GatewaySession, GatewaySessionEffect>;

/**
 * A session for a peer that was just accepted.
 * @param device the id in its certificate, which `Hello` must repeat
 */
export function openGatewaySession(device: string, now: number): GatewayStep {
  const deadline = now + HELLO_TIMEOUT_MS;
  return { state: { kind: "opening", device, deadline }, effects: [{ kind: "schedule", at: deadline }] };
}

/** Advance a session. A closed one stays as it is. */
export function stepGatewaySession(state: GatewaySession, input: GatewaySessionInput): GatewayStep {
  if (state.kind === "closed") return stay(state);
  switch (input.kind) {
    case "hello":
      return onHello(state, input.hello, input.now);
    case "registered":
      return onRegistered(state, input.welcome, input.now);
    case "message":
      return onMessage(state, input.message, input.now);
    case "leases-renewed":
      return send(state, { type: "heartbeat.ack", seq: input.seq, leaseMs: input.leaseMs, fenced: [...input.fenced] });
    case "policy":
      return onPolicy(state, input.version, input.policy);
    case "heartbeat-interval":
      return onHeartbeatInterval(state, input.heartbeatMs);
    case "request-renewal":
      return send(state, { type: "renew" });
    case "tell":
      return send(state, input.news);
    case "drain":
      return state.kind === "open"
        ? send({ ...state, draining: true }, { type: "drain", retryAfterMs: input.retryAfterMs })
        : stay(state);
    case "revoke":
      return onRevoke(state, input.epoch, input.reason, input.now);
    case "freeze":
      return finish(state, "frozen", input.now, [closeWith("frozen")]);
    case "behind":
      return finish(state, "behind", input.now, [closeWith("behind")]);
    case "checkpoint":
      return send(state, { type: "checkpoint", checkpoint: input.checkpoint });
    case "supersede":
      return finish(state, "superseded", input.now, [closeWith("superseded")]);
    case "stop":
      return finish(state, "drained", input.now, [closeWith("draining")]);
    case "lost":
      return finish(state, "lost", input.now, []);
    case "tick":
      return onTick(state, input.now);
    default:
      return input satisfies never;
  }
}

type LiveSession = Exclude<GatewaySession, { kind: "closed" }>;

function onHello(state: LiveSession, hello: Hello, now: number): GatewayStep {
  if (state.kind !== "opening") return violation(state, "a second hello", now);
  if (hello.device !== state.device) {
    const fail: GatewaySessionEffect = {
      kind: "fail",
      code: "DEVICE_MISMATCH",
      message: "the certificate names another device",
    };
    return finish(state, "device-mismatch", now, [fail, closeWith("protocol")]);
  }
  // Under it lies what the gateway itself records of the device: nobody else may add to that.
  if (hello.outboxEpoch.every((byte) => byte === 0)) return violation(state, "an outbox epoch of zeros", now);
  return {
    state: { kind: "registering", device: state.device, hello, heardAt: now },
    effects: [{ kind: "register", hello }],
  };
}

function onRegistered(state: LiveSession, welcome: Omit<Welcome, "type">, now: number): GatewayStep {
  // Registered after all, but revoked, superseded or lost meanwhile: `closed` was handled above, anything else is the
  // shell's mistake.
  if (state.kind !== "registering") return stay(state);
  const { hello, device } = state;
  const open: OpenGatewaySession = {
    kind: "open",
    device,
    sessionEpoch: welcome.sessionEpoch,
    heartbeatMs: welcome.heartbeatMs,
    since: now,
    lastHeardAt: now,
    capabilities: hello.capabilities,
    running: hello.running ?? [],
    load: undefined,
    policySent: hello.policyVersion ?? 0,
    policyApplied: hello.policyVersion,
    pingId: undefined,
    draining: false,
  };
  return {
    state: open,
    effects: [{ kind: "send", message: { type: "welcome", ...welcome } }, { kind: "online" }, scheduleNext(open)],
  };
}

function onMessage(state: LiveSession, message: NodeControlMessage, now: number): GatewayStep {
  if (state.kind !== "open") return violation(state, `${message.type} before welcome`, now);
  const heard: OpenGatewaySession = { ...state, lastHeardAt: now, pingId: undefined };
  switch (message.type) {
    case "heartbeat": {
      const next = { ...heard, load: message.load, running: message.running };
      return {
        state: next,
        effects: [{ kind: "renew-leases", seq: message.seq, running: message.running }, scheduleNext(next)],
      };
    }
    case "capabilities":
      return {
        state: { ...heard, capabilities: message.capabilities },
        effects: [{ kind: "capabilities", capabilities: message.capabilities }],
      };
    case "policy.applied":
      // A version nobody sent is no news of ours.
      if (message.version > heard.policySent) return stay(heard);
      return {
        state: { ...heard, policyApplied: message.version },
        effects: [{ kind: "policy-applied", version: message.version }],
      };
    case "roots.applied":
    case "moved.applied":
      return { state: heard, effects: [{ kind: "news-applied", applied: message }] };
    case "pong":
      return stay(heard);
    case "bye":
      return finish(heard, "left", now, []);
    default:
      return message satisfies never;
  }
}

function onPolicy(state: LiveSession, version: number, policy: Readonly<Record<string, unknown>>): GatewayStep {
  // Before `welcome` the shell knows the version to announce; versions only grow.
  if (state.kind !== "open" || version <= state.policySent) return stay(state);
  return send({ ...state, policySent: version }, { type: "policy", version, policy: { ...policy } });
}

function onHeartbeatInterval(state: LiveSession, heartbeatMs: number): GatewayStep {
  if (state.kind !== "open" || heartbeatMs === state.heartbeatMs) return stay(state);
  const next = { ...state, heartbeatMs };
  return { state: next, effects: [{ kind: "send", message: { type: "config", heartbeatMs } }, scheduleNext(next)] };
}

function onRevoke(state: LiveSession, epoch: number, reason: string, now: number): GatewayStep {
  // Only a node that got its welcome reads control messages; the close code tells the others.
  const notice: GatewaySessionEffect[] =
    state.kind === "open"
      ? [{ kind: "send", message: { type: "revoked", epoch, reason: reason.slice(0, 256).toWellFormed() } }]
      : [];
  return finish(state, "revoked", now, [...notice, closeWith("revoked")]);
}

function onTick(state: LiveSession, now: number): GatewayStep {
  if (state.kind === "opening") {
    if (now < state.deadline) return { state, effects: [{ kind: "schedule", at: state.deadline }] };
    return finish(state, "no-hello", now, [closeWith("timeout")]);
  }
  if (state.kind === "registering") return stay(state);
  if (now >= silentAt(state)) return finish(state, "silent", now, [closeWith("timeout")]);
  if (state.pingId !== undefined || now < pingAt(state)) return { state, effects: [scheduleNext(state)] };
  // One heartbeat is late: ask, so that a node that lives is known to before the third.
  const pinged = { ...state, pingId: now };
  return {
    state: pinged,
    effects: [{ kind: "send", message: { type: "ping", id: Math.floor(now) } }, scheduleNext(pinged)],
  };
}

function pingAt(state: OpenGatewaySession): number {
  return state.lastHeardAt + state.heartbeatMs * (MISSED_HEARTBEATS - 1);
}

function silentAt(state: OpenGatewaySession): number {
  return state.lastHeardAt + state.heartbeatMs * MISSED_HEARTBEATS;
}

function scheduleNext(state: OpenGatewaySession): GatewaySessionEffect {
  return { kind: "schedule", at: state.pingId === undefined ? pingAt(state) : silentAt(state) };
}

function send(state: LiveSession, message: GatewayControlMessage): GatewayStep {
  return state.kind === "open" ? { state, effects: [{ kind: "send", message }] } : stay(state);
}

function closeWith(code: keyof typeof CLOSE_CODES): GatewaySessionEffect {
  return { kind: "close", code: CLOSE_CODES[code], reason: code };
}

function violation(state: LiveSession, what: string, now: number): GatewayStep {
  const fail: GatewaySessionEffect = { kind: "fail", code: "STATE_INVALID", message: what };
  return finish(state, "out-of-order", now, [fail, closeWith("protocol")]);
}

function finish(
  state: LiveSession,
  end: SessionEnd,
  now: number,
  effects: readonly GatewaySessionEffect[],
): GatewayStep {
  const wasOnline = state.kind === "open";
  const offline: GatewaySessionEffect[] = wasOnline ? [{ kind: "offline", end }] : [];
  return {
    state: { kind: "closed", device: state.device, at: now, end, wasOnline },
    effects: [...effects, ...offline],
  };
}
