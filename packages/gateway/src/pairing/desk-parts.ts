import type { Authority } from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { DeviceService } from "../devices/service.ts";
import type { Logger } from "../logger.ts";
import type { SessionService } from "../sessions/service.ts";
import type { Store } from "../store/port.ts";
import type { PeerListener } from "./child-run.ts";
import type { PairingEndpoint } from "./endpoint.ts";
import type { PairingLimits } from "./limits.ts";

/** The pairing endpoint, as pairing uses it. */
export type EndpointPort = Pick<PairingEndpoint, "address" | "demand" | "release" | "send" | "end" | "drop"> &
  AsyncDisposable;

/** What pairing stands on. */
export interface DeskParts {
  readonly authority: Pick<Authority, "meshId" | "rootDer" | "rootSpkiSha256" | "issueDeviceLeaf">;
  readonly store: Pick<Store, "pairing" | "devices">;
  readonly devices: Pick<DeviceService, "enroll">;
  readonly sessions: Pick<SessionService, "whenOnline">;
  /** SHA-256 of the SubjectPublicKeyInfo of the pairing endpoint's leaf. */
  readonly endpointSpkiSha256: Uint8Array;
  readonly openEndpoint: (peers: PeerListener) => EndpointPort;
  /** Hosts in tickets. */
  readonly ticketHosts: () => readonly string[];
  /** Where nodes dial the mesh endpoint, host:port. */
  readonly meshAddresses: () => readonly string[];
  readonly limits: PairingLimits;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Where a ticket sends a node: the endpoint's port on each host. */
export function ticketAddresses(hosts: readonly string[], { port }: SocketAddress): readonly SocketAddress[] {
  return hosts.map((host) => ({ host, port }));
}
