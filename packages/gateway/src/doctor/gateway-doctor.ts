import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { runChecks, type Check, type Finding, type PathProbe, type SocketAddress } from "@quaymesh/protocol";
import { systemClock, type Clock } from "../clock.ts";
import type { SealingSource } from "../daemon/open-authority.ts";
import { DEFAULT_MESH_PORT, DEFAULT_PAIRING_PORT } from "../daemon/options.ts";
import { defaultStateDirectory, stateLayout } from "../daemon/state-directory.ts";
import type { GatewayDoctorContext } from "./context.ts";
import { certificatesCheck, keysCheck } from "./keys-check.ts";
import { logCheck } from "./log-check.ts";
import { buffersCheck, filesCheck, placesCheck } from "./machine-checks.ts";
import { addressesCheck, portsCheck } from "./network-checks.ts";
import { pairingCheck, refusalsCheck } from "./people-checks.ts";
import { processCheck } from "./process-check.ts";
import { diskCheck, stateCheck } from "./state-check.ts";
import { clockCheck, storeCheck } from "./store-check.ts";

/** A gateway's checks, in the order of what they stand on. docs/doctor.md lists the same. */
export const GATEWAY_CHECKS: readonly Check<GatewayDoctorContext>[] = [
  stateCheck,
  processCheck,
  keysCheck,
  storeCheck,
  logCheck,
  diskCheck,
  certificatesCheck,
  clockCheck,
  portsCheck,
  addressesCheck,
  buffersCheck,
  filesCheck,
  placesCheck,
  pairingCheck,
  refusalsCheck,
];

/** Options of {@link examineGateway}. */
export interface ExamineGatewayOptions {
  /** The state directory. Default: `defaultStateDirectory()`. */
  readonly state?: string;
  /** What opens the sealed keys of a gateway that does not run. Default: the key file in the state directory. */
  readonly sealing?: SealingSource;
  /** Where a gateway that does not run is going to listen. Default: `0.0.0.0`, ports 7420 and 7421. */
  readonly listen?: readonly SocketAddress[];
  /** How to ask an endpoint whether it is there; `probePath` of `@quaymesh/transport-quic`. */
  readonly probe: PathProbe;
  /** Told of each finding as it is there. */
  readonly onFinding?: (finding: Finding) => void;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/**
 * Look for what is wrong with a gateway: through its admin socket where it runs, on its disk where it does not. Changes nothing.
 * @throws rethrows `signal.reason`
 */
export function examineGateway(options: ExamineGatewayOptions): Promise<readonly Finding[]> {
  const context: GatewayDoctorContext = {
    layout: stateLayout(options.state ?? defaultStateDirectory()),
    sealing: options.sealing ?? {},
    listen: options.listen ?? [DEFAULT_MESH_PORT, DEFAULT_PAIRING_PORT].map((port) => ({ host: "0.0.0.0", port })),
    probe: options.probe,
    lookup: async (name) => (await lookup(name, { all: true, order: "verbatim" })).map(({ address }) => address),
    ownAddresses: () =>
      Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address)),
    readProc: (path) => readFile(path, "utf8").catch(() => undefined),
    clock: options.clock ?? systemClock,
    signal: options.signal,
  };
  return runChecks(GATEWAY_CHECKS, context, options);
}
