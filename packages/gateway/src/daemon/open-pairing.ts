import type { Authority } from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { GatewayCore } from "../core.ts";
import type { Logger } from "../logger.ts";
import { PairingDesk } from "../pairing/desk.ts";
import { PairingEndpoint } from "../pairing/endpoint.ts";
import { DEFAULT_PAIRING_LIMITS } from "../pairing/limits.ts";
import type { Store } from "../store/port.ts";
import { advertisedHosts } from "./addresses.ts";
import { DEFAULT_PAIRING_PORT, type GatewayOptions } from "./options.ts";

/** What {@link openPairing} stands on. */
export interface PairingParts {
  readonly authority: Authority;
  readonly store: Store;
  readonly core: GatewayCore;
  readonly meshAddresses: readonly string[];
  readonly listen: SocketAddress;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Set pairing up. Its endpoint's certificate and key are its own; that key is the only one the endpoint's process ever has. */
export async function openPairing(options: GatewayOptions, parts: PairingParts): Promise<PairingDesk> {
  const { authority, store, core, clock, logger, listen } = parts;
  const { childModule, listen: address = { host: listen.host, port: DEFAULT_PAIRING_PORT } } = options.pairing;
  const limits = { ...DEFAULT_PAIRING_LIMITS, ...options.pairing.limits };
  const leaf = await authority.issuePairingLeaf({ now: clock.now() });
  return await PairingDesk.open({
    authority,
    store,
    devices: core.devices,
    sessions: core.sessions,
    endpointSpkiSha256: leaf.spkiSha256,
    openEndpoint: (peers) =>
      new PairingEndpoint({
        childModule,
        address,
        credentials: leaf.credentials,
        limits: limits.endpoint,
        clock,
        logger,
        peers,
      }),
    ticketHosts: () => advertisedHosts(address.host, options.advertise),
    meshAddresses: () => parts.meshAddresses,
    limits,
    clock,
    logger,
  });
}
