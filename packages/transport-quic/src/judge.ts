import type { PeerIdentity, PeerTrust, RefusalReason } from "@quaymesh/protocol";
import type { NativeConnection } from "./binding.ts";
import { reportFault } from "./faults.ts";
import { readPeerIdentity } from "./peer-identity.ts";

/** What was decided about a peer that completed TLS. */
export type Judgement =
  | { readonly kind: "accept"; readonly peer: PeerIdentity }
  | { readonly kind: "refuse"; readonly reason: RefusalReason };

/**
 * Judge a peer, synchronously, in the tick in which TLS completed. A resumed session would have skipped the certificate checks, so it is
 * refused; an `authorize` that throws refuses.
 */
export function judge(native: NativeConnection, trust: PeerTrust): Judgement {
  if (native.isResumed()) return { kind: "refuse", reason: "denied" };
  const peer = readPeerIdentity(native);
  if (peer === undefined) return { kind: "refuse", reason: "denied" };
  if (trust.authorize === undefined) return { kind: "accept", peer };
  try {
    const verdict = trust.authorize(peer);
    return verdict.kind === "accept" ? { kind: "accept", peer } : verdict;
  } catch (error) {
    reportFault("authorize", error);
    return { kind: "refuse", reason: "denied" };
  }
}
