/**
 * States, inputs and effects of the gateway's side of `session.open`. Times are monotonic milliseconds unless they say
 * otherwise.
 */
import type { MeshNews, MeshNewsApplied } from "../messages/mesh.ts";
import type { Checkpoint } from "../messages/checkpoint.ts";
import type {
  Capability,
  GatewayControlMessage,
  Hello,
  NodeControlMessage,
  RunningAttempt,
  Welcome,
} from "../messages/session.ts";

/** A node is gone after this many heartbeats have not come. */
export const MISSED_HEARTBEATS = 3;
/** How long a peer may take to say `Hello`. */
export const HELLO_TIMEOUT_MS = 10_000;

/** Why a session ended. */
export type SessionEnd =
  | "left"
  | "lost"
  | "silent"
  | "no-hello"
  | "device-mismatch"
  | "out-of-order"
  | "superseded"
  | "revoked"
  | "frozen"
  | "behind"
  | "drained";

/** A session that is up. */
export interface OpenGatewaySession {
  readonly kind: "open";
  readonly device: string;
  readonly sessionEpoch: number;
  readonly heartbeatMs: number;
  readonly since: number;
  readonly lastHeardAt: number;
  readonly capabilities: readonly Capability[];
  readonly running: readonly RunningAttempt[];
  /** 1-minute load divided by the cores, from the last heartbeat. */
  readonly load: number | undefined;
  /** The newest policy sent, and the newest the node said it applied. */
  readonly policySent: number;
  readonly policyApplied: number | undefined;
  /** The ping that waits for its pong. */
  readonly pingId: number | undefined;
  readonly draining: boolean;
}

/** A gateway's view of one session. */
export type GatewaySession =
  | { readonly kind: "opening"; readonly device: string; readonly deadline: number }
  | { readonly kind: "registering"; readonly device: string; readonly hello: Hello; readonly heardAt: number }
  | OpenGatewaySession
  | {
      readonly kind: "closed";
      readonly device: string;
      readonly at: number;
      readonly end: SessionEnd;
      readonly wasOnline: boolean;
    };

/** What happens to a session. */
export type GatewaySessionInput =
  | { readonly kind: "hello"; readonly hello: Hello; readonly now: number }
  /** The store has given the session its epoch. `time` is Unix milliseconds. */
  | { readonly kind: "registered"; readonly welcome: Omit<Welcome, "type">; readonly now: number }
  | { readonly kind: "message"; readonly message: NodeControlMessage; readonly now: number }
  /** The store has renewed the leases that the heartbeat `seq` named. */
  | {
      readonly kind: "leases-renewed";
      readonly seq: number;
      readonly leaseMs: number;
      readonly fenced: readonly { readonly taskId: string; readonly token: number }[];
    }
  | { readonly kind: "policy"; readonly version: number; readonly policy: Readonly<Record<string, unknown>> }
  | { readonly kind: "heartbeat-interval"; readonly heartbeatMs: number }
  /** Have the node renew its certificate now. */
  | { readonly kind: "request-renewal" }
  /** There is news of the mesh for the node. */
  | { readonly kind: "tell"; readonly news: MeshNews }
  | { readonly kind: "drain"; readonly retryAfterMs: number }
  | { readonly kind: "revoke"; readonly epoch: number; readonly reason: string; readonly now: number }
  | { readonly kind: "freeze"; readonly now: number }
  /** The store is older than one that a node has seen: nobody is served. */
  | { readonly kind: "behind"; readonly now: number }
  | { readonly kind: "checkpoint"; readonly checkpoint: Checkpoint }
  | { readonly kind: "supersede"; readonly now: number }
  | { readonly kind: "stop"; readonly now: number }
  /** The control stream or the connection is gone. */
  | { readonly kind: "lost"; readonly now: number }
  | { readonly kind: "tick"; readonly now: number };

/** What the shell does for a session. */
export type GatewaySessionEffect =
  /** Commit the session: claim the next session epoch, then feed `registered`. */
  | { readonly kind: "register"; readonly hello: Hello }
  | { readonly kind: "send"; readonly message: GatewayControlMessage }
  | { readonly kind: "online" }
  | { readonly kind: "offline"; readonly end: SessionEnd }
  /** Renew the leases of these attempts, then feed `leases-renewed`. */
  | { readonly kind: "renew-leases"; readonly seq: number; readonly running: readonly RunningAttempt[] }
  | { readonly kind: "capabilities"; readonly capabilities: readonly Capability[] }
  | { readonly kind: "policy-applied"; readonly version: number }
  /** The node has stored news of the mesh. */
  | { readonly kind: "news-applied"; readonly applied: MeshNewsApplied }
  /** End the control stream with an error frame. */
  | { readonly kind: "fail"; readonly code: string; readonly message: string }
  /** Close the connection with an application code. */
  | { readonly kind: "close"; readonly code: number; readonly reason: string }
  /** Feed a `tick` at this time; replaces the one before. */
  | { readonly kind: "schedule"; readonly at: number };
