import type { Authority, stepGateway } from "@quaymesh/identity";
import type { BoundAddress, Roots, SocketAddress } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { DeviceService } from "../devices/service.ts";
import type { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { SessionService } from "../sessions/service.ts";
import type { Store } from "../store/port.ts";
import type { PeerListener } from "./child-run.ts";
import type { PairingEndpoint } from "./endpoint.ts";
import type { PairingLimits } from "./limits.ts";

/** When the pairing endpoint is open: while a window is, or always. Without a window it renews certificates, and pairs nobody. */
export type PairingDoor = "window" | "always";

/** The pairing endpoint, as pairing uses it. */
export type EndpointPort = Pick<
  PairingEndpoint,
  "addresses" | "expectedAddresses" | "health" | "spkiSha256" | "demand" | "release" | "renew" | "send" | "end" | "drop"
> &
  AsyncDisposable;

/** What pairing stands on. */
export interface DeskParts {
  readonly authority: Pick<Authority, "meshId" | "rootDer" | "rootSpkiSha256" | "issueDeviceLeaf" | "deriveSecret">;
  /** How the roots of the mesh follow each other: for nodes that know an older one only. */
  readonly roots: () => Roots;
  readonly store: Pick<Store, "pairing" | "devices">;
  readonly devices: Pick<DeviceService, "enroll" | "addCertificate" | "get">;
  readonly sessions: Pick<SessionService, "whenOnline">;
  readonly openEndpoint: (peers: PeerListener) => EndpointPort;
  /** What tickets say of an endpoint that is bound to these. */
  readonly ticketAddresses: (bound: readonly BoundAddress[]) => readonly SocketAddress[];
  /** `always`: the endpoint is open without a window too, for devices whose certificate has run out. */
  readonly door: PairingDoor;
  /** Where nodes dial the mesh endpoint, host:port. */
  readonly meshAddresses: () => readonly string[];
  /** Why no window may be opened now; undefined where one may. */
  readonly refusing?: () => GatewayError | undefined;
  readonly limits: PairingLimits;
  /** In place of identity's machine: a simulation watches it so, and breaks it. */
  readonly step?: typeof stepGateway;
  readonly clock: Clock;
  readonly logger: Logger;
}
