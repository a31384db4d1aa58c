import type { Budget, Suite } from "../suite.ts";
import { makeCredentials } from "./credentials.ts";
import { TransportRig } from "./rig.ts";
import { ROWS } from "./rows.ts";

const GLANCE: Budget = { warmupMs: 60, measureMs: 150 };

/** Our transport beside @grpc/grpc-js and node:http2: client and server in processes of their own, mutual TLS, loopback. */
export const transport: Suite = {
  name: "transport",
  about: "ours beside @grpc/grpc-js and node:http2; mutual TLS, separate processes",
  rows: ROWS,
  plan: { rounds: 3, first: { warmupMs: 700, measureMs: 600 }, later: { warmupMs: 150, measureMs: 600 } },
  quickPlan: { rounds: 1, first: GLANCE, later: GLANCE },
  open: async (options) => await TransportRig.open(await makeCredentials(), options),
};
