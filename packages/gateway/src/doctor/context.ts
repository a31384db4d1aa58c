import type { Authority } from "@quaymesh/identity";
import type { PathProbe, SocketAddress } from "@quaymesh/protocol";
import type { GatewayDiagnosis } from "../client/types-diagnosis.ts";
import type { GatewayStats, GatewayStatus } from "../client/types.ts";
import type { Clock } from "../clock.ts";
import type { SealingSource } from "../daemon/open-authority.ts";
import type { StateLayout } from "../daemon/state-directory.ts";

/** What the running gateway says of itself. */
export interface RunningGateway {
  readonly status: GatewayStatus;
  readonly stats: GatewayStats;
  readonly diagnosis: GatewayDiagnosis;
}

/** What a gateway's checks work with, and what they leave for each other. */
export interface GatewayDoctorContext {
  readonly layout: StateLayout;
  /** What opens the sealed keys of a gateway that does not run. */
  readonly sealing: SealingSource;
  /** Where a gateway that does not run is going to listen: the mesh endpoint, and the pairing endpoint. */
  readonly listen: readonly SocketAddress[];
  readonly probe: PathProbe;
  /** The addresses of a name. Rejects as `node:dns` does. */
  readonly lookup: (name: string) => Promise<readonly string[]>;
  /** IP addresses of this machine. */
  readonly ownAddresses: () => readonly string[];
  /** A file of /proc; `undefined` where there is none. */
  readonly readProc: (path: string) => Promise<string | undefined>;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** Where it runs. */
  running?: RunningGateway;
  /** Of a gateway that does not run, where its keys could be opened. */
  authority?: Authority;
  /** When the newest event came, Unix milliseconds. */
  newestEventAt?: number;
}
