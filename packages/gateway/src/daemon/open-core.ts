import { TransportError, type SocketAddress } from "@quaymesh/protocol";
import { TrustIndex, type Authority } from "@quaymesh/identity";
import type { Clock } from "../clock.ts";
import { GatewayCore } from "../core.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Store } from "../store/port.ts";
import { formatAddress } from "./addresses.ts";
import type { GatewayOptions } from "./options.ts";

/** What {@link openCore} stands on. */
export interface CoreParts {
  readonly authority: Authority;
  readonly store: Store;
  readonly address: SocketAddress;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Start the core on the mesh endpoint, with a certificate and a key of this start's own.
 * @throws {GatewayError} `PORT_IN_USE`, `ADDRESS_UNAVAILABLE`, `TRANSPORT_UNAVAILABLE`, `STORE_*`; {IdentityError} `CLOCK_SKEW`, `CA_INVALID` where no certificate can be issued at this time
 */
export async function openCore(options: GatewayOptions, parts: CoreParts): Promise<GatewayCore> {
  const { authority, store, address, clock, logger } = parts;
  const leaf = await authority.issueGatewayLeaf({ now: clock.now() });
  try {
    return await GatewayCore.open({
      store,
      transport: options.transport,
      credentials: leaf.credentials,
      resetSecret: authority.deriveSecret("stateless reset"),
      anchorsPem: authority.rootPem,
      trust: new TrustIndex({ meshId: authority.meshId, now: () => clock.now() }),
      issuer: authority,
      address,
      meshId: authority.meshId,
      clock,
      logger,
      ...(options.limits && { limits: options.limits }),
      ...(options.transportLimits && { transportLimits: options.transportLimits }),
      ...(options.signal && { signal: options.signal }),
    });
  } catch (cause) {
    throw cause instanceof TransportError ? listenError(cause, address) : cause;
  }
}

function listenError(cause: TransportError, address: SocketAddress): GatewayError {
  const where = formatAddress(address);
  const metadata = { address: where, port: String(address.port) };
  switch (cause.code) {
    case "ADDRESS_IN_USE":
      return new GatewayError("PORT_IN_USE", `UDP port ${address.port} of ${address.host} is in use`, {
        cause,
        metadata,
      });
    case "ADDRESS_UNAVAILABLE":
      return new GatewayError("ADDRESS_UNAVAILABLE", `cannot listen on ${where}: ${cause.message}`, {
        cause,
        metadata,
      });
    default:
      return new GatewayError("TRANSPORT_UNAVAILABLE", `cannot listen on ${where}: ${cause.message}`, {
        cause,
        metadata,
      });
  }
}
