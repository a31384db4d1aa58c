/** What a node does about a certificate that is refused for its dates: it asks for another, where that can help, and else waits for a clock to be set. */
import { NodeError, type NodeErrorCode } from "../errors.ts";
import { formatAddress } from "../state/address.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { LinkFailure } from "./failure.ts";

/** Answers of the node's own gateway, over a connection that ended at the pinned root, after which asking again cannot help. */
export const FINAL: ReadonlySet<NodeErrorCode> = new Set(["RENEW_TOO_LATE", "DEVICE_REVOKED", "DEVICE_UNKNOWN"]);

/** What becomes of a link whose certificate is refused for its dates. */
export type LateOutcome =
  /** There is a new certificate: dial. */
  | { readonly kind: "renewed" }
  /** Wait and dial again; `error` says what for. */
  | { readonly kind: "wait"; readonly error: NodeError }
  | { readonly kind: "stop"; readonly error: NodeError };

/** Whether another certificate might be the answer: the gateway refused this one. What this machine refused itself, by its own clock, no renewal mends. */
export function calledForRenewal({ verdict, error }: LinkFailure): boolean {
  const { close } = error;
  return verdict === "expired" && close !== undefined && "byPeer" in close && close.byPeer;
}

/**
 * Ask once.
 * @param renew stores what it gets; {@link NodeError}s say why it did not
 */
export async function tryRenewal(
  failure: LinkFailure,
  identity: NodeIdentity,
  renew: () => Promise<void>,
): Promise<LateOutcome> {
  const { error } = failure;
  const addresses = identity.pairingAddresses ?? [];
  if (addresses.length === 0) return { kind: error.code === "CERTIFICATE_EXPIRED" ? "stop" : "wait", error };
  try {
    await renew();
    return { kind: "renewed" };
  } catch (cause) {
    if (!(cause instanceof NodeError)) throw cause;
    if (FINAL.has(cause.code)) return { kind: "stop", error: cause };
    // Its two clocks are more than the dates alone can tell.
    if (cause.code === "CLOCK_SKEW" && "gatewayClock" in cause.details) return { kind: "wait", error: cause };
    return { kind: "wait", error: notRenewed(error, cause, addresses.map(formatAddress).join(", ")) };
  }
}

function notRenewed(error: NodeError, cause: NodeError, where: string): NodeError {
  const { close, retryAfterMs } = error;
  const message = `${error.message}. Asked for another at ${where}: ${cause.message}`;
  return new NodeError(error.code, message, {
    cause,
    details: { ...error.details, renewal: cause.code },
    ...(close !== undefined && { close }),
    ...((cause.retryAfterMs ?? retryAfterMs) !== undefined && {
      retryAfterMs: cause.retryAfterMs ?? retryAfterMs ?? 0,
    }),
  });
}
