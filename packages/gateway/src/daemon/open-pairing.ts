import type { Authority } from "@quaymesh/identity";
import type { ListenAddress } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { GatewayCore } from "../core.ts";
import type { Logger } from "../logger.ts";
import type { AuthorityNews } from "../mesh/news.ts";
import { PairingDesk } from "../pairing/desk.ts";
import { PairingEndpoint } from "../pairing/endpoint.ts";
import { DEFAULT_PAIRING_LIMITS } from "../pairing/limits.ts";
import type { Store } from "../store/port.ts";
import { advertisedAddresses, formatListenAddress, listenAddresses } from "./addresses.ts";
import { DEFAULT_PAIRING_PORT, type GatewayOptions } from "./options.ts";

/** What {@link openPairing} stands on. */
export interface PairingParts {
  readonly authority: Authority;
  readonly store: Store;
  readonly core: GatewayCore;
  readonly news: AuthorityNews;
  readonly meshAddresses: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Set pairing up. Its endpoint's certificate and key are its own; that key is the only one the endpoint's process ever has. */
export async function openPairing(options: GatewayOptions, parts: PairingParts): Promise<PairingDesk> {
  const { authority, store, core, news, clock, logger } = parts;
  const { childModule, childArguments = [], listen, door = "window" } = options.pairing;
  const addresses = listen === undefined ? besideMesh(core) : listenAddresses(listen);
  const limits = { ...DEFAULT_PAIRING_LIMITS, ...options.pairing.limits };
  return await PairingDesk.open({
    authority,
    roots: () => news.roots(),
    store,
    devices: core.devices,
    sessions: core.sessions,
    openEndpoint: (peers) =>
      new PairingEndpoint({
        childModule,
        childArguments,
        addresses,
        leaf: () => authority.issuePairingLeaf({ now: clock.now() }),
        limits: limits.endpoint,
        clock,
        logger,
        peers,
      }),
    ticketAddresses: (bound) => advertisedAddresses(bound, options.advertise),
    door,
    refusing: () => core.refusing(),
    meshAddresses: () => parts.meshAddresses,
    limits,
    clock,
    logger,
  });
}

/** Where nobody says: the hosts of the mesh endpoint, on a port of its own. */
function besideMesh({ addresses }: GatewayCore): readonly ListenAddress[] {
  const beside = addresses.map(({ host, asked }) => ({
    host: "host" in asked ? asked.host : host,
    port: DEFAULT_PAIRING_PORT,
  }));
  return [...new Map(beside.map((each) => [formatListenAddress(each), each])).values()];
}
