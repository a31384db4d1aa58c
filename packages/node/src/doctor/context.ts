import type { PathProbe, SocketAddress, Transport } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { StateLayout } from "../state/layout.ts";
import type { ReportedState } from "../state/status.ts";
import type { Dialed } from "./dial.ts";

/** An endpoint of the gateway with the IP addresses of its host. */
export interface ResolvedEndpoint {
  /** As it is stored: what the node dials. */
  readonly endpoint: SocketAddress;
  readonly ips: readonly string[];
  /** Why there are none. */
  readonly error?: string;
}

/** What a node's checks work with, and what they leave for each other. */
export interface NodeDoctorContext {
  readonly layout: StateLayout;
  readonly transport: Transport;
  readonly probe: PathProbe;
  /** The addresses of a name. Rejects as `node:dns` does. */
  readonly lookup: (name: string) => Promise<readonly string[]>;
  /** Longest datagram the node sends on a path that is not this machine's own. */
  readonly datagramBytes: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  identity?: NodeIdentity;
  keyPem?: string;
  /** What the node said of itself last. */
  reported?: ReportedState;
  endpoints?: readonly ResolvedEndpoint[];
  /** IP addresses with ports that answered, in the order of the endpoints. */
  reachable?: readonly SocketAddress[];
  /** What a real dial came to. */
  dialed?: Dialed;
}
