import { TransportError, type ListenOptions } from "@quaymesh/protocol";
import { TrustIndex, type Authority } from "@quaymesh/identity";
import type { Clock } from "../clock.ts";
import { GatewayCore } from "../core.ts";
import { GatewayError } from "../errors.ts";
import type { LeafCredentials } from "../leaf-clock.ts";
import type { Logger } from "../logger.ts";
import type { MeshNewsDesk } from "../mesh/news.ts";
import type { Store } from "../store/port.ts";
import { formatListenAddress, listenAddresses } from "./addresses.ts";
import type { GatewayOptions } from "./options.ts";

/** What {@link openCore} stands on. */
export interface CoreParts {
  readonly authority: Authority;
  readonly store: Store;
  readonly address: ListenOptions["address"];
  readonly news: MeshNewsDesk;
  readonly pairingAddresses: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Start the core on the mesh endpoint, with a certificate and a key of this start's own, replaced while it runs at half of its life.
 * @throws {GatewayError} `PORT_IN_USE`, `ADDRESS_UNAVAILABLE`, `TRANSPORT_UNAVAILABLE`, `STORE_*`; {IdentityError} `CLOCK_SKEW`, `CA_INVALID` where no certificate can be issued at this time
 */
export async function openCore(options: GatewayOptions, parts: CoreParts): Promise<GatewayCore> {
  const { authority, store, address, news, pairingAddresses, clock, logger } = parts;
  const next = async (): Promise<LeafCredentials> => {
    const { credentials, notBefore, notAfter } = await authority.issueGatewayLeaf({ now: clock.now() });
    return { credentials, renewAt: (notBefore + notAfter) / 2 };
  };
  const leaf = await next();
  try {
    return await GatewayCore.open({
      store,
      transport: options.transport,
      credentials: leaf.credentials,
      leafRenewal: { renewAt: leaf.renewAt, next },
      resetSecret: authority.deriveSecret("stateless reset"),
      anchorsPem: authority.anchorsPem,
      news,
      trust: new TrustIndex({ meshId: authority.meshId, now: () => clock.now() }),
      issuer: authority,
      address,
      meshId: authority.meshId,
      pairingAddresses,
      clock,
      logger,
      ...(options.limits && { limits: options.limits }),
      ...(options.retention && { retention: options.retention }),
      ...(options.ingest && { ingest: options.ingest }),
      ...(options.transportLimits && { transportLimits: options.transportLimits }),
      ...(options.signal && { signal: options.signal }),
    });
  } catch (cause) {
    throw cause instanceof TransportError ? listenError(cause, address) : cause;
  }
}

function listenError(cause: TransportError, address: ListenOptions["address"]): GatewayError {
  const addresses = listenAddresses(address);
  const where = addresses.map((each) => formatListenAddress(each)).join(", ");
  const [only] = addresses.length === 1 ? addresses : [];
  const metadata = { address: where, ...(only !== undefined && "host" in only && { port: String(only.port) }) };
  switch (cause.code) {
    case "ADDRESS_IN_USE": {
      // Of several, the transport says which.
      const message =
        only !== undefined && "host" in only ? `UDP port ${only.port} of ${only.host} is in use` : cause.message;
      return new GatewayError("PORT_IN_USE", message, { cause, metadata });
    }
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
