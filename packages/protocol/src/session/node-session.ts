/**
 * The node's side of `session.open`. docs/wire.md, "Session". Times are monotonic milliseconds unless they say
 * otherwise.
 */
import type { MeshNews, MeshNewsApplied } from "../messages/mesh.ts";
import type {
  Capability,
  GatewayControlMessage,
  Heartbeat,
  Hello,
  NodeControlMessage,
  RunningAttempt,
  Welcome,
} from "../messages/session.ts";
import type { Checkpoint } from "../messages/checkpoint.ts";
import { isBehind } from "./checkpoint.ts";
import { MISSED_HEARTBEATS } from "./gateway-session-state.ts";
import { stay, type Step } from "./step.ts";

/** How long a gateway may take to answer a `Hello`. */
export const WELCOME_TIMEOUT_MS = 10_000;
/** Heartbeats come this often at least while attempts run: each renews their 30 s leases. */
export const BUSY_HEARTBEAT_MS = 10_000;

/** Why a node's session is over. */
export type NodeSessionStop =
  | { readonly kind: "revoked"; readonly epoch: number; readonly reason: string }
  /** The gateway said it would stop; come back after `retryAfterMs`. */
  | { readonly kind: "drained"; readonly retryAfterMs: number }
  | { readonly kind: "no-welcome" }
  | { readonly kind: "silent" }
  | { readonly kind: "lost" }
  /** Our own wish. */
  | { readonly kind: "left" }
  | { readonly kind: "protocol"; readonly what: string }
  /** The gateway shows a state older than one that was seen. */
  | { readonly kind: "behind"; readonly seen: Checkpoint; readonly shown: Checkpoint };

/** What only a node that is up knows. */
export interface OnlineNodeSession {
  readonly kind: "online";
  readonly welcome: Welcome;
  readonly since: number;
  readonly heartbeatMs: number;
  readonly lastHeardAt: number;
  readonly lastHeartbeatAt: number;
  readonly heartbeatSeq: number;
  /** Whether attempts ran when last looked at. */
  readonly busy: boolean;
  /** The newest policy version seen. */
  readonly policyVersion: number;
  /** Set once the gateway announced that it stops. */
  readonly drainRetryAfterMs: number | undefined;
}

/** Greeted, and not welcomed yet. */
interface GreetingNodeSession {
  readonly kind: "greeting";
  readonly hello: Hello;
  /** Whether a welcome that shows an older state than `hello` does ends the session. */
  readonly judgesSeen: boolean;
  readonly deadline: number;
}

/** A node's view of its session. */
export type NodeSession =
  | GreetingNodeSession
  | OnlineNodeSession
  | { readonly kind: "stopped"; readonly stop: NodeSessionStop };

/** What happens to a session. */
export type NodeSessionInput =
  | { readonly kind: "message"; readonly message: GatewayControlMessage; readonly now: number }
  /** Due at the time of the last `schedule`, and whenever attempts start or finish. `load` and `running` as of now. */
  | { readonly kind: "tick"; readonly load: number; readonly running: readonly RunningAttempt[]; readonly now: number }
  | { readonly kind: "capabilities"; readonly capabilities: readonly Capability[] }
  /** The shell has put a policy into effect. */
  | { readonly kind: "policy-applied"; readonly version: number }
  /** The shell has stored news of the mesh. */
  | { readonly kind: "news-applied"; readonly applied: MeshNewsApplied }
  | { readonly kind: "leave"; readonly reason: string }
  /** The control stream or the connection is gone. */
  | { readonly kind: "lost" };

/** What the shell does for a session. */
export type NodeSessionEffect =
  | { readonly kind: "send"; readonly message: Hello | NodeControlMessage }
  /** End the control stream with this last message. */
  | { readonly kind: "end"; readonly message: NodeControlMessage }
  | { readonly kind: "online"; readonly welcome: Welcome }
  /**
   * Attempts of the heartbeat that was sent at `heartbeatAt` are good for `leaseMs` from then, except the fenced ones,
   * which must stop.
   */
  | {
      readonly kind: "leases";
      readonly leaseMs: number;
      readonly heartbeatAt: number;
      readonly fenced: readonly { readonly taskId: string; readonly token: number }[];
    }
  /** Apply, then feed `policy-applied`. */
  | { readonly kind: "apply-policy"; readonly version: number; readonly policy: Readonly<Record<string, unknown>> }
  /** Take no new work that would not end in time; the session goes on until the gateway closes it. */
  | { readonly kind: "draining"; readonly retryAfterMs: number }
  /** Store it in place of the one before. */
  | { readonly kind: "checkpoint"; readonly checkpoint: Checkpoint }
  /** Renew the certificate now and begin a new session with it. */
  | { readonly kind: "renew" }
  /** Judge and store, then feed `news-applied`; what is refused is not answered. */
  | { readonly kind: "news"; readonly news: MeshNews }
  /** Feed a `tick` at this time; replaces the one before. */
  | { readonly kind: "schedule"; readonly at: number }
  /** Over: close the connection and decide about the next. */
  | { readonly kind: "stop"; readonly stop: NodeSessionStop };

type NodeStep = Step<NodeSession, NodeSessionEffect>;

/**
 * A session on a connection that was just made.
 * @param options.judgesSeen whether the checkpoint in `hello` is held against the welcome: not one that was given below a root which another has followed
 */
export function openNodeSession(
  hello: Hello,
  now: number,
  { judgesSeen }: { readonly judgesSeen: boolean } = { judgesSeen: true },
): NodeStep {
  const deadline = now + WELCOME_TIMEOUT_MS;
  return {
    state: { kind: "greeting", hello, judgesSeen, deadline },
    effects: [
      { kind: "send", message: hello },
      { kind: "schedule", at: deadline },
    ],
  };
}

/** Advance a session. A stopped one stays as it is. */
export function stepNodeSession(state: NodeSession, input: NodeSessionInput): NodeStep {
  if (state.kind === "stopped") return stay(state);
  switch (input.kind) {
    case "message":
      return onMessage(state, input.message, input.now);
    case "tick":
      return onTick(state, input.load, input.running, input.now);
    case "capabilities":
      // Before `welcome` they go with the hello of the next session at the latest; the shell reports again when online.
      return send(state, { type: "capabilities", capabilities: [...input.capabilities] });
    case "policy-applied":
      return send(state, { type: "policy.applied", version: input.version });
    case "news-applied":
      return send(state, input.applied);
    case "leave": {
      const bye: NodeSessionEffect = {
        kind: "end",
        message: { type: "bye", reason: input.reason.slice(0, 128).toWellFormed() },
      };
      return stop({ kind: "left" }, [bye]);
    }
    case "lost":
      if (state.kind === "online" && state.drainRetryAfterMs !== undefined) {
        return stop({ kind: "drained", retryAfterMs: state.drainRetryAfterMs });
      }
      return stop({ kind: "lost" });
    default:
      return input satisfies never;
  }
}

type LiveSession = Exclude<NodeSession, { kind: "stopped" }>;

function onMessage(state: LiveSession, message: GatewayControlMessage, now: number): NodeStep {
  if (message.type === "revoked") return stop({ kind: "revoked", epoch: message.epoch, reason: message.reason });
  if (state.kind === "greeting") {
    if (message.type === "welcome") return onWelcome(state, message, now);
    return stop({ kind: "protocol", what: `${message.type} before welcome` });
  }
  const heard: OnlineNodeSession = { ...state, lastHeardAt: now };
  switch (message.type) {
    case "welcome":
      return stop({ kind: "protocol", what: "a second welcome" });
    case "heartbeat.ack":
      // Only the newest heartbeat's answer speaks of the attempts that run now.
      if (message.seq !== heard.heartbeatSeq) return stay(heard);
      return {
        state: heard,
        effects: [
          { kind: "leases", leaseMs: message.leaseMs, heartbeatAt: heard.lastHeartbeatAt, fenced: message.fenced },
        ],
      };
    case "policy":
      if (message.version <= heard.policyVersion) return stay(heard);
      return {
        state: { ...heard, policyVersion: message.version },
        effects: [{ kind: "apply-policy", version: message.version, policy: message.policy }],
      };
    case "config": {
      const next = { ...heard, heartbeatMs: message.heartbeatMs ?? heard.heartbeatMs };
      return { state: next, effects: [scheduleNext(next)] };
    }
    case "ping":
      return send(heard, { type: "pong", id: message.id });
    case "renew":
      return { state: heard, effects: [{ kind: "renew" }] };
    case "roots":
    case "moved":
      return { state: heard, effects: [{ kind: "news", news: message }] };
    case "checkpoint":
      return { state: heard, effects: [{ kind: "checkpoint", checkpoint: message.checkpoint }] };
    case "drain":
      return {
        state: { ...heard, drainRetryAfterMs: message.retryAfterMs },
        effects: [{ kind: "draining", retryAfterMs: message.retryAfterMs }],
      };
    default:
      return message satisfies never;
  }
}

function onWelcome({ hello, judgesSeen }: GreetingNodeSession, welcome: Welcome, now: number): NodeStep {
  const { seen } = hello;
  const shown = welcome.checkpoint;
  if (judgesSeen && seen !== undefined && shown !== undefined && isBehind(seen, shown)) {
    return stop({ kind: "behind", seen, shown });
  }
  const state: OnlineNodeSession = {
    kind: "online",
    welcome,
    since: now,
    heartbeatMs: welcome.heartbeatMs,
    lastHeardAt: now,
    lastHeartbeatAt: now,
    heartbeatSeq: 0,
    busy: (hello.running ?? []).length > 0,
    policyVersion: hello.policyVersion ?? 0,
    drainRetryAfterMs: undefined,
  };
  return { state, effects: [{ kind: "online", welcome }, scheduleNext(state)] };
}

function onTick(state: LiveSession, load: number, running: readonly RunningAttempt[], now: number): NodeStep {
  if (state.kind === "greeting") {
    if (now < state.deadline) return { state, effects: [{ kind: "schedule", at: state.deadline }] };
    return stop({ kind: "no-welcome" });
  }
  // Every heartbeat is answered: silence over three of them is a dead gateway or path.
  if (now >= silentAt(state)) return stop({ kind: "silent" });
  const current: OnlineNodeSession = { ...state, busy: running.length > 0 };
  // The first attempt makes the next heartbeat due earlier; one is sent at once if it is overdue by that measure.
  if (now < heartbeatAt(current)) return { state: current, effects: [scheduleNext(current)] };
  const message: Heartbeat = {
    type: "heartbeat",
    seq: current.heartbeatSeq + 1,
    load: Math.max(0, load),
    running: [...running],
  };
  const next: OnlineNodeSession = { ...current, heartbeatSeq: message.seq, lastHeartbeatAt: now };
  return { state: next, effects: [{ kind: "send", message }, scheduleNext(next)] };
}

function heartbeatAt(state: OnlineNodeSession): number {
  return state.lastHeartbeatAt + (state.busy ? Math.min(BUSY_HEARTBEAT_MS, state.heartbeatMs) : state.heartbeatMs);
}

function silentAt(state: OnlineNodeSession): number {
  return state.lastHeardAt + state.heartbeatMs * MISSED_HEARTBEATS;
}

function scheduleNext(state: OnlineNodeSession): NodeSessionEffect {
  return { kind: "schedule", at: Math.min(heartbeatAt(state), silentAt(state)) };
}

function send(state: LiveSession, message: NodeControlMessage): NodeStep {
  return state.kind === "online" ? { state, effects: [{ kind: "send", message }] } : stay(state);
}

function stop(reason: NodeSessionStop, before: readonly NodeSessionEffect[] = []): NodeStep {
  return { state: { kind: "stopped", stop: reason }, effects: [...before, { kind: "stop", stop: reason }] };
}
