/** What a node does about a gateway it does not trust, or that does not trust it: the mesh may have another root by now, and the roots say so themselves. */
import { NodeError, type NodeErrorCode } from "../errors.ts";
import { formatAddress } from "../state/address.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { LinkFailure } from "./failure.ts";
import { FINAL, type LateOutcome } from "./late.ts";

/** Dials in a row, some two minutes of them, in which a pairing endpoint that does not answer is asked again: it may be about to open. */
const MAX_ASKING = 10;
/** The endpoint said nothing about the root: that may pass. */
const UNANSWERED: ReadonlySet<NodeErrorCode> = new Set([
  "GATEWAY_UNREACHABLE",
  "GATEWAY_BUSY",
  "SESSION_LOST",
  "PAIR_CLOSED",
  "PAIR_RATE_LIMITED",
  "PAIR_UNAVAILABLE",
]);

/** Whether the mesh's root may have been rotated while this node was away. */
export function calledForRoots({ verdict }: LinkFailure, { pairingAddresses = [] }: NodeIdentity): boolean {
  return verdict === "untrusted" && pairingAddresses.length > 0;
}

/**
 * Follow the mesh to its root of today, and take a certificate below it.
 * @param attempt dials that failed in a row
 * @param follow stores the roots it finds; {@link NodeError}s say why it found none
 * @param renew stores another certificate
 */
export async function tryFollowing(
  { error }: LinkFailure,
  { pairingAddresses = [] }: NodeIdentity,
  attempt: number,
  { follow, renew }: { readonly follow: () => Promise<void>; readonly renew: () => Promise<void> },
): Promise<LateOutcome> {
  const where = pairingAddresses.map(formatAddress).join(", ");
  try {
    await follow();
  } catch (cause) {
    if (!(cause instanceof NodeError)) throw cause;
    // Where there is an answer and it leads nowhere, this is not the gateway, and dialing on would not help.
    const kind = UNANSWERED.has(cause.code) && attempt < MAX_ASKING ? "wait" : "stop";
    return { kind, error: withAdvice(error, cause, where) };
  }
  try {
    await renew();
    return { kind: "renewed" };
  } catch (cause) {
    if (!(cause instanceof NodeError)) throw cause;
    return FINAL.has(cause.code) ? { kind: "stop", error: cause } : { kind: "wait", error: cause };
  }
}

function withAdvice(error: NodeError, cause: NodeError, where: string): NodeError {
  const advice = "where the mesh's root was rotated meanwhile, open a pairing window and start this node again";
  const message = `${error.message}. Asked at ${where} whether its root was rotated: ${cause.message}; ${advice}`;
  const { close, details } = error;
  return new NodeError(error.code, message, {
    cause,
    details: { ...details, roots: cause.code },
    ...(close !== undefined && { close }),
  });
}
