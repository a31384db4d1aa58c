import type { Checkpoint, SocketAddress } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import { formatAddress } from "../state/address.ts";

/** A gateway of this mesh that shows an older state than this node has seen: it was put back, and may have forgotten revocations. */
export function behindError(
  { seen, shown }: { readonly seen: Checkpoint; readonly shown: Checkpoint },
  address: SocketAddress,
): NodeError {
  const where = formatAddress(address);
  return new NodeError(
    "GATEWAY_BEHIND",
    `the gateway shows an older state of this mesh than this node has seen (${where})`,
    { details: { address: where, seen: tell(seen), shown: tell(shown) } },
  );
}

function tell({ era, generation, revocationEpoch, offset }: Checkpoint): string {
  return `era ${era}, start ${generation}, revocation epoch ${revocationEpoch}, log offset ${offset}`;
}
