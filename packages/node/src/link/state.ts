import type { SocketAddress } from "@quaymesh/protocol";
import type { NodeError } from "../errors.ts";

/**
 * Where a node is, as it would tell a person. `idle`: opened, not run yet. `renewing`: the certificate was refused for its dates, and another is asked for. `online`: the gateway's `Welcome` is in, and nothing less makes it so.
 * `waiting`: the next dial comes in `retryInMs`. `stopped`: for good, with an `error` where it was not asked to. Times are Unix milliseconds.
 */
export type NodeState =
  | { readonly kind: "idle" }
  | { readonly kind: "dialing"; readonly address: SocketAddress; readonly attempt: number }
  /** The certificate has run out: asking the pairing endpoint for another. */
  | { readonly kind: "renewing"; readonly attempt: number; readonly addresses: readonly SocketAddress[] }
  | {
      readonly kind: "online";
      readonly address: SocketAddress;
      readonly since: number;
      /** The mesh's name, for people. */
      readonly mesh: string;
      readonly sessionEpoch: number;
      /** From the first datagram to `Welcome`. */
      readonly handshakeMs: number;
    }
  | {
      readonly kind: "waiting";
      /** Dials that failed in a row. */
      readonly attempt: number;
      readonly retryInMs: number;
      readonly error: NodeError;
    }
  | { readonly kind: "stopping" }
  | { readonly kind: "stopped"; readonly error?: NodeError };
