import { dialVerdict, type CloseInfo, type DialVerdict } from "./close.ts";
import type { ListenerRefusal } from "./stats.ts";

/** One verdict, for both ends of the attempt it was passed on. */
export interface VerdictText {
  /** The node's error code. */
  readonly code: string;
  /** What it means, said at the node. */
  readonly says: string;
  /** What to do at the node. */
  readonly fix: string;
  /** What to do at the gateway, for its operator. */
  readonly operator: string;
}

/**
 * What an attempt to connect came to: the word that a node says and that its gateway logs for the same attempt, the node's error code, and what to do at either end. The one table of it; docs/doctor.md
 * has it for people.
 */
export const VERDICTS = {
  busy: {
    code: "GATEWAY_BUSY",
    says: "the gateway has as many connections as it allows",
    fix: "Try again later, or raise the gateway's --max-connections.",
    operator: "Raise --max-connections, or look who holds the places with:  quaymesh gateway stats",
  },
  revoked: {
    code: "DEVICE_REVOKED",
    says: "this device was revoked (certificate_revoked): pair it again if that was not meant",
    fix: "Its key is refused for good. For a new one forget this pairing:  quaymesh node leave\nthen pair this machine again:  quaymesh node join",
    operator: "Nothing, if that was meant. Else pair the machine anew: a revocation is for good.",
  },
  expired: {
    code: "CERTIFICATE_EXPIRED",
    says: "a certificate is not valid by one of the two clocks (certificate_expired): compare both machines' clocks",
    fix: "If this machine's clock is right, open a pairing window on the gateway for a moment, and it renews by itself: quaymesh pair",
    operator:
      "Compare both clocks. If they agree the node slept past its certificate: open a window with  quaymesh pair",
  },
  unknown: {
    code: "DEVICE_UNKNOWN",
    says: "the gateway does not know this device (certificate_unknown): pair it again",
    fix: "The gateway lost or never had this device: pair this machine again.",
    operator: "Pair the machine again. If devices are missing, the state may be an old copy: see docs/state.md.",
  },
  denied: {
    code: "GATEWAY_REFUSED",
    says: "the gateway does not let this device in (access_denied)",
    fix: "Ask the gateway's operator; its log has the reason.",
    operator: "Read the detail in the log: a certificate that is not a device's, or trust out of touch with the store.",
  },
  untrusted: {
    code: "GATEWAY_REFUSED",
    says: "the gateway does not accept this device's certificate: it is of another mesh",
    fix: "This certificate is of another mesh: name the right state with --state, or pair again.",
    operator: "A machine of another mesh, or paired before this one was made: pair it again.",
  },
  "wrong-protocol": {
    code: "GATEWAY_PROTOCOL",
    says: "what answers is not a mesh endpoint",
    fix: "Check the port: a node dials the mesh endpoint, and only `node join` the pairing endpoint.",
    operator: "Somebody dialed the wrong one of the two endpoints, or with something else than Quaymesh.",
  },
  superseded: {
    code: "SESSION_LOST",
    says: "another process connected as this device and took the session over",
    fix: "Find the other process that runs with this device's state, and stop one of them.",
    operator: "Two processes hold one identity: pair the second machine as a device of its own.",
  },
  frozen: {
    code: "DEVICE_FROZEN",
    says: "this device is frozen until an operator has decided: two hold its key, or an old copy of its state was put back",
    fix: "Ask an operator; on the gateway: quaymesh device unfreeze, or device revoke, and pair this machine anew.",
    operator: "Decide:  quaymesh device unfreeze DEVICE  or  quaymesh device revoke DEVICE",
  },
  behind: {
    code: "GATEWAY_BEHIND",
    says: "the gateway's state is older than one that a node has seen: it serves nobody until an operator has decided",
    fix: "Tell whoever runs the gateway: it was put back to an older state. Nothing recorded here is lost; it waits.",
    operator: "Restore a newer backup; or stop the gateway and run  quaymesh gateway restore accept-loss",
  },
  draining: {
    code: "GATEWAY_BUSY",
    says: "the gateway is about to stop",
    fix: "Try again when it has started anew.",
    operator: "Nothing: nodes come back by themselves.",
  },
  other: {
    code: "SESSION_LOST",
    says: "the connection was lost",
    fix: "Try again; if it comes back, look at the network between the two.",
    operator: "If it comes back, look at the network between the two.",
  },
} as const satisfies Readonly<Record<DialVerdict, VerdictText>>;

const OF_REFUSAL: Readonly<Record<ListenerRefusal, DialVerdict>> = {
  shape: "other",
  version: "other",
  reset: "other",
  retry: "other",
  token: "other",
  // Whatever there is no room for, the client is told the same.
  budget: "busy",
  "half-open": "busy",
  busy: "busy",
  displaced: "busy",
  timeout: "other",
  handshake: "other",
  "wrong-protocol": "wrong-protocol",
  untrusted: "untrusted",
  revoked: "revoked",
  expired: "expired",
  unknown: "unknown",
  denied: "denied",
  frozen: "frozen",
};

/** The verdict a client heard, or passed itself, where a listener counted this refusal. */
export function verdictOfRefusal(refusal: {
  readonly reason: ListenerRefusal;
  readonly close?: CloseInfo | undefined;
}): DialVerdict {
  const { reason, close } = refusal;
  // It was the client that refused: its word is the close code.
  if (close !== undefined && "byPeer" in close && close.byPeer) return dialVerdict(close);
  return OF_REFUSAL[reason];
}
