/** What a node does about a gateway it does not trust, or that does not trust it: the mesh may have another root by now, and the roots say so themselves. */
import { NodeError, type NodeErrorCode } from "../errors.ts";
import { formatAddress } from "../state/address.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { LinkFailure } from "./failure.ts";
import { FINAL, type LateOutcome } from "./late.ts";

/** The endpoint said nothing about the root, or this machine's clock took its certificate for one of another time: that may pass. */
const UNANSWERED: ReadonlySet<NodeErrorCode> = new Set([
  "GATEWAY_UNREACHABLE",
  "GATEWAY_BUSY",
  "SESSION_LOST",
  "PAIR_CLOSED",
  "PAIR_RATE_LIMITED",
  "PAIR_TIMEOUT",
  "PAIR_UNAVAILABLE",
  "CLOCK_SKEW",
]);

/** What its operator can do about it. */
const OPEN_IT =
  "this node keeps asking. If the root was rotated, run `quaymesh pair` on the gateway, or the gateway with `--pairing-door always`, until it is back";

/** Whether the mesh's root may have been rotated while this node was away. */
export function calledForRoots({ verdict }: LinkFailure, { pairingAddresses = [] }: NodeIdentity): boolean {
  return verdict === "untrusted" && pairingAddresses.length > 0;
}

/**
 * Follow the mesh to its root of today, and take a certificate below it.
 * @param follow stores the roots it finds; {@link NodeError}s say why it found none
 * @param renew stores another certificate
 */
export async function tryFollowing(
  { error }: LinkFailure,
  { pairingAddresses = [] }: NodeIdentity,
  { follow, renew }: { readonly follow: () => Promise<void>; readonly renew: () => Promise<void> },
): Promise<LateOutcome> {
  const where = pairingAddresses.map(formatAddress).join(", ");
  try {
    await follow();
  } catch (cause) {
    if (!(cause instanceof NodeError)) throw cause;
    const asked = `${error.message}. Asked at ${where} whether its root was rotated: ${cause.message}`;
    if (UNANSWERED.has(cause.code)) return { kind: "wait", error: because(error, cause, `${asked}; ${OPEN_IT}`) };
    // There is an answer and it leads nowhere: this is not the gateway, and dialing on would not help.
    return { kind: "stop", error: because(error, cause, asked) };
  }
  try {
    await renew();
    return { kind: "renewed" };
  } catch (cause) {
    if (!(cause instanceof NodeError)) throw cause;
    return FINAL.has(cause.code) ? { kind: "stop", error: cause } : { kind: "wait", error: cause };
  }
}

function because(error: NodeError, cause: NodeError, message: string): NodeError {
  const { close, details } = error;
  return new NodeError(error.code, message, {
    cause,
    details: { ...details, roots: cause.code },
    ...(close !== undefined && { close }),
    ...(cause.retryAfterMs !== undefined && { retryAfterMs: cause.retryAfterMs }),
  });
}
