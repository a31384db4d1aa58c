import type { Budget, Suite } from "../suite.ts";
import { makeCredentials } from "../transport/credentials.ts";
import { SessionsRig } from "./rig.ts";
import { ROWS } from "./rows.ts";

/**
 * What follows a handshake (confirmations, first timers) is over after the warm-up. Then three keep-alive periods and one heartbeat: each session is heard in its turn, and one
 * without keep-alive would be gone.
 */
const IDLE: Budget = { warmupMs: 3000, measureMs: 30_000 };
const GLANCE: Budget = { warmupMs: 50, measureMs: 150 };

/** Many idle sessions on one server process: ours and a whole gateway, beside ws. */
export const sessions: Suite = {
  name: "sessions",
  about: "N idle mutual-TLS sessions with keep-alive on one server",
  takes: "about 10 minutes",
  rows: ROWS,
  optionalPeers: [],
  settings: [{ name: "sessions", about: "N", default: 10_000, quick: 100, least: 100, most: 18_000 }],
  reps: 1,
  plan: { rounds: 1, first: IDLE, later: IDLE },
  quickPlan: { rounds: 1, first: GLANCE, later: GLANCE },
  open: async (options) => new SessionsRig(await makeCredentials(), options),
};
