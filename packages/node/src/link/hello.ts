import { randomBytes } from "node:crypto";
import { arch, hostname, platform } from "node:os";
import { WIRE_VERSION, type Capability, type Checkpoint, type Hello, type RunningAttempt } from "@quaymesh/protocol";

/** What a node says of itself with each session. */
export interface HelloFacts {
  readonly deviceId: string;
  readonly outboxEpoch: Uint8Array;
  readonly software: string;
  readonly capabilities: Capability[];
  readonly running: RunningAttempt[];
  /** The join token of the last welcome, as stored. */
  readonly join: Uint8Array | undefined;
  /** SHA-256 of the SubjectPublicKeyInfo of each root this node trusts, the newest last. */
  readonly roots: Uint8Array[];
  /** The newest move of the gateway that was followed; 0 for none. */
  readonly moved: number;
  /** The newest checkpoint, as stored. */
  readonly seen: Checkpoint | undefined;
}

/** The hello of a new session on this machine. */
export function helloOf(facts: HelloFacts): Hello {
  const { deviceId, join, seen, ...same } = facts;
  return {
    v: WIRE_VERSION,
    method: "session.open",
    device: deviceId,
    nonce: new Uint8Array(randomBytes(16)),
    platform: { os: platform(), arch: arch(), hostname: hostname().slice(0, 253) },
    ...same,
    ...(join !== undefined && { join }),
    ...(seen !== undefined && { seen }),
  };
}
