import { runChecks, type Check, type Finding, type PathProbe, type Transport } from "@quaymesh/protocol";
import { lookup } from "node:dns/promises";
import { systemClock, type Clock } from "../clock.ts";
import { layoutOf } from "../state/layout.ts";
import { certificateCheck } from "./certificate-check.ts";
import { clockCheck } from "./clock-check.ts";
import type { NodeDoctorContext } from "./context.ts";
import { admissionCheck, pinCheck } from "./gateway-checks.ts";
import { identityCheck } from "./identity-check.ts";
import { mtuCheck } from "./mtu-check.ts";
import { namesCheck } from "./names-check.ts";
import { diskCheck, outboxCheck } from "./outbox-check.ts";
import { processCheck } from "./process-check.ts";
import { stateCheck } from "./state-check.ts";
import { udpCheck } from "./udp-check.ts";

/** A node's checks, in the order of what they stand on. docs/doctor.md lists the same. */
export const NODE_CHECKS: readonly Check<NodeDoctorContext>[] = [
  stateCheck,
  identityCheck,
  processCheck,
  outboxCheck,
  diskCheck,
  certificateCheck,
  namesCheck,
  udpCheck,
  mtuCheck,
  pinCheck,
  admissionCheck,
  clockCheck,
];

/** Options of {@link examineNode}. */
export interface ExamineNodeOptions {
  /** The state directory. Nothing in it is changed. */
  readonly state: string;
  readonly transport: Transport;
  /** How to ask an endpoint whether it is there; `probePath` of `@quaymesh/transport-quic`. */
  readonly probe: PathProbe;
  /** Longest datagram the node sends. Default 1350. */
  readonly datagramBytes?: number;
  /** The addresses of a name. Default: the system's resolver. */
  readonly lookup?: (name: string) => Promise<readonly string[]>;
  /** Told of each finding as it is there. */
  readonly onFinding?: (finding: Finding) => void;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

const DEFAULT_DATAGRAM_BYTES = 1350;

/**
 * Look for what keeps a node from its gateway. Works beside a running node: the dial begins no session, so it takes none over.
 * @throws rethrows `signal.reason`
 */
export function examineNode(options: ExamineNodeOptions): Promise<readonly Finding[]> {
  const { state, transport, probe, clock = systemClock, signal } = options;
  const context: NodeDoctorContext = {
    layout: layoutOf(state),
    transport,
    probe,
    lookup: options.lookup ?? systemLookup,
    datagramBytes: options.datagramBytes ?? DEFAULT_DATAGRAM_BYTES,
    clock,
    signal,
  };
  return runChecks(NODE_CHECKS, context, options);
}

async function systemLookup(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true, order: "verbatim" });
  return [...new Set(found.map(({ address }) => address))];
}
