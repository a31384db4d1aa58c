import {
  dialVerdict,
  TransportError,
  VERDICTS,
  type CloseInfo,
  type DialVerdict,
  type SocketAddress,
} from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import { formatAddress } from "../state/address.ts";

/** A dial or a session that failed: what it means for the next dial, and what to tell people. */
export interface LinkFailure {
  readonly verdict: DialVerdict;
  readonly error: NodeError;
}

/** What is known of a connection that ended. */
export interface EndedConnection {
  readonly address: SocketAddress;
  /** Its name on both sides, as `Connection.attempt`. */
  readonly attempt?: string | undefined;
  readonly cause?: unknown;
}

/** Read how a connection ended. */
export function failureOfClose(close: CloseInfo, { address, attempt, cause }: EndedConnection): LinkFailure {
  const verdict = dialVerdict(close);
  const where = formatAddress(address);
  const named = attempt !== undefined && { attempt };
  // Our own judgement: its chain does not end at the pinned root.
  if (verdict === "untrusted" && close.kind === "transport" && !close.byPeer) {
    return { verdict, error: untrusted({ where, attempt }, close, cause) };
  }
  const detail = verdict === "other" && "reason" in close && close.reason !== "" ? `: ${close.reason}` : "";
  const error = new NodeError(VERDICTS[verdict].code, `${VERDICTS[verdict].says}${detail} (${where})`, {
    close,
    details: { address: where, verdict, ...named },
    ...(cause !== undefined && { cause }),
  });
  return { verdict, error };
}

/** Read what a dial or a stream threw. */
export function failureOf(cause: unknown, address: SocketAddress): LinkFailure {
  if (cause instanceof NodeError) return { verdict: "other", error: cause };
  const where = formatAddress(address);
  const attempt = cause instanceof TransportError ? cause.attempt : undefined;
  const details = { address: where, ...(attempt !== undefined && { attempt }) };
  if (!(cause instanceof TransportError)) {
    return {
      verdict: "other",
      error: new NodeError("SESSION_LOST", `the session failed (${where})`, { cause, details }),
    };
  }
  if (cause.close !== undefined) return failureOfClose(cause.close, { address, attempt, cause });
  switch (cause.code) {
    case "PEER_REFUSED":
      return { verdict: "untrusted", error: untrusted({ where, attempt }, undefined, cause) };
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

function untrusted(
  { where, attempt }: { readonly where: string; readonly attempt: string | undefined },
  close: CloseInfo | undefined,
  cause: unknown,
): NodeError {
  return new NodeError("GATEWAY_UNTRUSTED", `what answers at ${where} is not this node's gateway`, {
    details: { address: where, ...(attempt !== undefined && { attempt }) },
    ...(close !== undefined && { close }),
    ...(cause !== undefined && { cause }),
  });
}
