import { dialVerdict, TransportError, type CloseInfo, type DialVerdict, type SocketAddress } from "@quaymesh/protocol";
import { NodeError, type NodeErrorCode } from "../errors.ts";
import { formatAddress } from "../state/address.ts";

/** A dial or a session that failed: what it means for the next dial, and what to tell people. */
export interface LinkFailure {
  readonly verdict: DialVerdict;
  readonly error: NodeError;
}

const CODES: Readonly<Record<DialVerdict, NodeErrorCode>> = {
  busy: "GATEWAY_BUSY",
  revoked: "DEVICE_REVOKED",
  expired: "CERTIFICATE_EXPIRED",
  unknown: "DEVICE_UNKNOWN",
  denied: "GATEWAY_REFUSED",
  untrusted: "GATEWAY_REFUSED",
  "wrong-protocol": "GATEWAY_PROTOCOL",
  superseded: "SESSION_LOST",
  frozen: "DEVICE_FROZEN",
  draining: "GATEWAY_BUSY",
  other: "SESSION_LOST",
};

const SENTENCES: Readonly<Record<DialVerdict, string>> = {
  busy: "the gateway has as many connections as it allows",
  revoked: "this device was revoked (certificate_revoked): pair it again if that was not meant",
  expired: "a certificate is not valid by one of the two clocks (certificate_expired): compare both machines' clocks",
  unknown: "the gateway does not know this device (certificate_unknown): pair it again",
  denied: "the gateway does not let this device in (access_denied)",
  untrusted: "the gateway does not accept this device's certificate: it is of another mesh",
  "wrong-protocol": "what answers is not a mesh endpoint",
  superseded: "another process connected as this device and took the session over",
  frozen:
    "this device is frozen until an operator has decided: two hold its key, or an old copy of its state was put back",
  draining: "the gateway is about to stop",
  other: "the connection was lost",
};

/** Read how a connection ended. */
export function failureOfClose(close: CloseInfo, address: SocketAddress, cause?: unknown): LinkFailure {
  const verdict = dialVerdict(close);
  const where = formatAddress(address);
  // Our own judgement: its chain does not end at the pinned root.
  if (verdict === "untrusted" && close.kind === "transport" && !close.byPeer) {
    return { verdict, error: untrusted(where, close, cause) };
  }
  const detail = verdict === "other" && "reason" in close && close.reason !== "" ? `: ${close.reason}` : "";
  const error = new NodeError(CODES[verdict], `${SENTENCES[verdict]}${detail} (${where})`, {
    close,
    details: { address: where, verdict },
    ...(cause !== undefined && { cause }),
  });
  return { verdict, error };
}

/** Read what a dial or a stream threw. */
export function failureOf(cause: unknown, address: SocketAddress): LinkFailure {
  if (cause instanceof NodeError) return { verdict: "other", error: cause };
  const where = formatAddress(address);
  const details = { address: where };
  if (!(cause instanceof TransportError)) {
    return {
      verdict: "other",
      error: new NodeError("SESSION_LOST", `the session failed (${where})`, { cause, details }),
    };
  }
  if (cause.close !== undefined) return failureOfClose(cause.close, address, cause);
  switch (cause.code) {
    case "PEER_REFUSED":
      return { verdict: "untrusted", error: untrusted(where, undefined, cause) };
    case "CREDENTIALS_INVALID":
      return {
        verdict: "untrusted",
        error: new NodeError("STATE_CORRUPT", "this node's certificate or key cannot be used", { cause, details }),
      };
    case "UNREACHABLE":
    case "HANDSHAKE_TIMEOUT":
    case "CONNECTION_CLOSED":
      return {
        verdict: "other",
        error: new NodeError("GATEWAY_UNREACHABLE", `nothing answers at ${where}`, { cause, details }),
      };
    default:
      return {
        verdict: "other",
        error: new NodeError("SESSION_LOST", `the connection to ${where} failed: ${cause.message}`, { cause, details }),
      };
  }
}

function untrusted(where: string, close: CloseInfo | undefined, cause: unknown): NodeError {
  return new NodeError("GATEWAY_UNTRUSTED", `what answers at ${where} is not this node's gateway`, {
    details: { address: where },
    ...(close !== undefined && { close }),
    ...(cause !== undefined && { cause }),
  });
}
