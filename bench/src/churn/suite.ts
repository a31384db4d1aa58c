import type { Budget, Suite } from "../suite.ts";
import { makeCredentials } from "../transport/credentials.ts";
import { ChurnRig } from "./rig.ts";
import { ROWS } from "./rows.ts";

/** Work is counted here, not timed. */
const COUNTED: Budget = { warmupMs: 0, measureMs: 0 };

/** Connections and streams that come and go: what they leave behind. */
export const churn: Suite = {
  name: "churn",
  about: "what connections and streams leave behind in memory",
  takes: "about half a minute",
  rows: ROWS,
  optionalPeers: ["ws", "http2", "jsquic"],
  settings: [
    { name: "connections", about: "opened and closed", default: 2000, quick: 400, least: 400, most: 1_000_000 },
    { name: "streams", about: "on one connection", default: 100_000, quick: 4000, least: 4000, most: 100_000_000 },
  ],
  reps: 1,
  plan: { rounds: 1, first: COUNTED, later: COUNTED },
  quickPlan: { rounds: 1, first: COUNTED, later: COUNTED },
  open: async (options) => new ChurnRig(await makeCredentials(), options),
};
