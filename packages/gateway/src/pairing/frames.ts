import { PAIRING_METHODS, parsePairToGateway, parseRequest, ProtocolError, RemoteError } from "@quaymesh/protocol";
import type { PairHello, PairToGateway, RenewRequest, RootsRequest } from "@quaymesh/protocol";

/**
 * Frames as the pairing process passed them on, read anew: the process checks them for its own sake, and is not believed.
 * `undefined` is what no sound process lets through.
 */
export function openingOf(body: Uint8Array): PairHello | RenewRequest | RootsRequest | undefined {
  return readable(() => parseRequest(body, PAIRING_METHODS));
}

/** See {@link openingOf}; messages nobody here knows are `undefined` too, and ignored. */
export function messageOf(body: Uint8Array): PairToGateway | undefined {
  return readable(() => parsePairToGateway(body));
}

function readable<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof ProtocolError || cause instanceof RemoteError) return undefined;
    throw cause;
  }
}
