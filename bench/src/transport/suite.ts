import type { Budget, Suite } from "../suite.ts";
import { makeCredentials } from "./credentials.ts";
import { TransportRig } from "./rig.ts";
import { ROWS } from "./rows.ts";

const GLANCE: Budget = { warmupMs: 60, measureMs: 150 };

/** Our transport beside other ways to connect two Node processes: client and server in processes of their own, mutual TLS, loopback. */
export const transport: Suite = {
  name: "transport",
  about: "one connection's speed; mutual TLS, two processes",
  takes: "about 4 minutes",
  rows: ROWS,
  optionalPeers: ["jsquic"],
  settings: [],
  reps: 3,
  plan: { rounds: 3, first: { warmupMs: 700, measureMs: 600 }, later: { warmupMs: 150, measureMs: 600 } },
  quickPlan: { rounds: 1, first: GLANCE, later: GLANCE },
  open: async (options) => new TransportRig(await makeCredentials(), options),
};
