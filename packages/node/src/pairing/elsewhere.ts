import type { SocketAddress } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import { formatAddress } from "../state/address.ts";
import { dialPairing, type DialPairingOptions, type PairingLink } from "./dial.ts";

/** Hints that are followed: whoever gives more wants a node to knock at many doors. */
const MAX_HINTS = 8;

/**
 * Look for a pairing endpoint elsewhere, where none of the addresses that are known can be reached. What a hint leads to is held to the same pin, so a lie costs time alone, and what comes of it is no news: the first failure stays the answer.
 * @param cause what the known addresses came to
 * @throws `cause`, where there is no hint or none leads to the gateway; rethrows `signal.reason`
 */
export async function dialElsewhere(
  cause: unknown,
  options: DialPairingOptions,
  find: ((meshId: string) => Promise<readonly SocketAddress[]>) | undefined,
): Promise<PairingLink> {
  const { target, signal } = options;
  const isAway = cause instanceof NodeError && cause.code === "GATEWAY_UNREACHABLE";
  // Without a pin there is nothing to hold a hint to, and without a mesh nothing to ask for.
  if (!isAway || find === undefined || target.meshId === undefined || target.pins === undefined) throw cause;
  const hints = await find(target.meshId).catch(() => []);
  signal?.throwIfAborted();
  const known = new Set(target.addresses.map(formatAddress));
  const addresses = hints.filter((address) => !known.has(formatAddress(address))).slice(0, MAX_HINTS);
  if (addresses.length === 0) throw cause;
  try {
    return await dialPairing({ ...options, target: { ...target, addresses } });
  } catch {
    signal?.throwIfAborted();
    throw cause;
  }
}
