import type { Secret, Ticket } from "@quaymesh/identity";
import type { SocketAddress, Transport } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";

/**
 * What a person has in hand: a ticket (scanned, or its link), which pins the gateway's root, or a PIN, where the gateway proves that it knows the
 * PIN and the root it shows is trusted from then on. The secret in it is erased once the gateway was asked with it. `own`: nothing at all; the node makes a code and shows it (the step
 * `showing`), and knocks at these addresses until an operator has scanned it.
 */
export type JoinInvitation =
  | { readonly kind: "ticket"; readonly ticket: Ticket }
  | { readonly kind: "pin"; readonly address: SocketAddress; readonly pin: Secret<string> }
  | { readonly kind: "own"; readonly addresses: readonly SocketAddress[] };

/** How far a join is, for a screen. `words` are to be compared with the operator's before anyone approves. */
export type JoinStep =
  /** With an `own` code: this is it, `QUAYNODE:…`. It carries a secret. */
  | { readonly kind: "showing"; readonly code: string }
  /** With an `own` code: not paired yet, and why not; the next knock follows. Said when the reason changes. */
  | { readonly kind: "waiting"; readonly why: string; readonly message: string }
  | { readonly kind: "dialing"; readonly address: SocketAddress }
  | { readonly kind: "connected"; readonly address: SocketAddress; readonly rootFingerprint: string }
  | { readonly kind: "proved"; readonly mesh: string; readonly words: readonly string[]; readonly requestId: string }
  | { readonly kind: "issued"; readonly deviceId: string; readonly notAfter: number }
  | { readonly kind: "stored" };

/** Options of `join`. */
export interface JoinOptions {
  /** The state directory; made (0700) where it is missing. A device key that is there already is used again. */
  readonly state: string;
  readonly transport: Transport;
  readonly invitation: JoinInvitation;
  /** What the operator sees this machine called. Default: the host's name. */
  readonly name?: string;
  /**
   * More addresses of the pairing endpoint of a mesh, from whatever hints there are: asked once none of a ticket's addresses can be reached. They are dialed as the ticket's are, and held to its pin.
   * Rejections count as none.
   */
  readonly elsewhere?: (meshId: string) => Promise<readonly SocketAddress[]>;
  readonly onStep?: (step: JoinStep) => void;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/** What `join` stored. */
export interface JoinResult {
  readonly deviceId: string;
  readonly meshId: string;
  /** The mesh's name as its operator gave it. */
  readonly mesh: string;
  /** Mesh endpoints, best first. */
  readonly addresses: readonly SocketAddress[];
  /** SHA-256 of the pinned root's SubjectPublicKeyInfo: lower-case hex bytes joined by colons. */
  readonly rootFingerprint: string;
  /** The words that were shown. */
  readonly words: readonly string[];
  /** When the certificate runs out, Unix milliseconds. */
  readonly notAfter: number;
}
