/** The control stream: `session.open`. docs/wire.md, "Session". */
import { Type, type Static } from "typebox";
import { checkpoint, type Checkpoint } from "./checkpoint.ts";
import { bytes, deviceId, message, openMap, request, taskId, text, uint } from "./common.ts";
import type { MeshNews, MeshNewsApplied } from "./mesh.ts";

/** Most attempts a node may run, hence report: keeps a heartbeat under the 4096 items of a frame. */
export const MAX_RUNNING_ATTEMPTS = 512;

const capability = Type.Object({
  /** A task definition's name. */
  name: text(128),
  /** Attempts of this definition the node runs at once. */
  concurrency: Type.Optional(uint(1024)),
});

const runningAttempt = Type.Object({
  taskId,
  token: uint(),
  progress: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
});

/** Node to gateway, the request frame. */
export const hello = request("session.open", {
  device: deviceId,
  /** Fresh random bytes per session. */
  nonce: bytes(16, 32),
  /** The node's outbox; a new one means a new sequence. */
  outboxEpoch: bytes(16, 16),
  software: text(64),
  platform: Type.Object({ os: text(32), arch: text(32), hostname: Type.Optional(text(253)) }),
  capabilities: Type.Array(capability, { maxItems: 256 }),
  policyVersion: Type.Optional(uint()),
  /** The last welcome's, as stored; absent before the first. */
  join: Type.Optional(bytes(16, 16)),
  /** The newest checkpoint of this mesh, as stored. */
  seen: Type.Optional(checkpoint),
  running: Type.Optional(Type.Array(runningAttempt, { maxItems: MAX_RUNNING_ATTEMPTS })),
  /** The roots this node trusts: SHA-256 of each one's SubjectPublicKeyInfo, the newest last. */
  roots: Type.Optional(Type.Array(bytes(32, 32), { minItems: 1, maxItems: 2 })),
  /** The newest move of its gateway that it knows of. */
  moved: Type.Optional(uint()),
});

/** Node to gateway. */
export const heartbeat = message("heartbeat", {
  seq: uint(),
  /** 1-minute load average divided by the cores. */
  load: Type.Number({ minimum: 0 }),
  /** Attempts the node still runs; each renews that attempt's lease. */
  running: Type.Array(runningAttempt, { maxItems: MAX_RUNNING_ATTEMPTS }),
});
/** Node to gateway. */
export const capabilityReport = message("capabilities", { capabilities: Type.Array(capability, { maxItems: 256 }) });
/** Node to gateway. */
export const policyApplied = message("policy.applied", { version: uint() });
/** Node to gateway: answers `ping`. */
export const pong = message("pong", { id: uint() });
/** Node to gateway, its last message: it leaves on purpose. */
export const bye = message("bye", { reason: text(128, 0) });

/** Gateway to node: only this makes a node online. */
export const welcome = message("welcome", {
  /** Grows by one with each session of this device. */
  sessionEpoch: uint(),
  mesh: text(64),
  heartbeatMs: uint(),
  /** The last sequence of this outbox epoch the gateway has committed; 0 is none. */
  ackedSeq: uint(),
  policyVersion: uint(),
  limits: Type.Object({ maxFrameBytes: uint(), maxBatchEvents: uint(), maxEventBytes: uint() }),
  /** The gateway's clock, Unix milliseconds. */
  time: uint(),
  /** To be stored, and shown with the next hello. */
  join: Type.Optional(bytes(16, 16)),
  /** To be stored, and shown with the next hello as `seen`. */
  checkpoint: Type.Optional(checkpoint),
  /** Where the pairing endpoint listens while it is open: `host:port`. A device whose certificate has run out asks there. */
  pairing: Type.Optional(Type.Array(text(260), { maxItems: 8 })),
});
/** Gateway to node: which of the reported attempts are no longer this node's. */
export const heartbeatAck = message("heartbeat.ack", {
  seq: uint(),
  /** Leases of the attempts that are still good run this much longer. */
  leaseMs: uint(),
  fenced: Type.Array(Type.Object({ taskId, token: uint() }), { maxItems: MAX_RUNNING_ATTEMPTS }),
});
/** Gateway to node. */
export const policyPush = message("policy", { version: uint(), policy: openMap() });
/** Gateway to node. */
export const configUpdate = message("config", { heartbeatMs: Type.Optional(uint()) });
/** Gateway to node. */
export const ping = message("ping", { id: uint() });
/** Gateway to node: get another certificate now, and use it. */
export const renewNow = message("renew", {});
/** Gateway to node: to be stored in place of the one before. */
export const checkpointNotice = message("checkpoint", { checkpoint });
/** Gateway to node: it is about to stop. */
export const drain = message("drain", { retryAfterMs: uint() });
/** Gateway to node, just before close 0x52. */
export const revoked = message("revoked", { epoch: uint(), reason: text(256, 0) });

/** Opens `session.open`. */
export type Hello = Static<typeof hello>;
/** A node's sign of life, and the attempts whose leases it renews. */
export type Heartbeat = Static<typeof heartbeat>;
/** The answer to `Hello`: the node is online. */
export type Welcome = Static<typeof welcome>;
/** The answer to a heartbeat. */
export type HeartbeatAck = Static<typeof heartbeatAck>;
/** A task definition that a node offers. */
export type Capability = Static<typeof capability>;
/** An attempt that a node runs, named by task and fencing token. */
export type RunningAttempt = Static<typeof runningAttempt>;
/** What a node sends on `session.open` after its hello. */
export type NodeControlMessage =
  | Static<typeof heartbeat>
  | Static<typeof capabilityReport>
  | Static<typeof policyApplied>
  | Static<typeof pong>
  | Static<typeof bye>
  | MeshNewsApplied;
/** What a gateway sends on `session.open`. */
export type GatewayControlMessage =
  | Welcome
  | HeartbeatAck
  | Static<typeof policyPush>
  | Static<typeof configUpdate>
  | Static<typeof ping>
  | Static<typeof renewNow>
  | { readonly type: "checkpoint"; readonly checkpoint: Checkpoint }
  | Static<typeof drain>
  | Static<typeof revoked>
  | MeshNews;
