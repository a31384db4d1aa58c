import type { Suite } from "../suite.ts";
import { makeCredentials } from "./credentials.ts";
import { TransportRig } from "./rig.ts";
import { ROWS } from "./rows.ts";

/** Our transport beside @grpc/grpc-js and node:http2: client and server in processes of their own, mutual TLS, loopback. */
export const transport: Suite = {
  name: "transport",
  about: "ours beside @grpc/grpc-js and node:http2; mutual TLS, separate processes",
  rows: ROWS,
  budget: { warmupMs: 700, measureMs: 2000 },
  quickBudget: { warmupMs: 60, measureMs: 150 },
  open: async (options) => await TransportRig.open(await makeCredentials(), options),
};
