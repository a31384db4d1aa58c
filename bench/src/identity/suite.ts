import type { Budget, Suite } from "../suite.ts";
import { IdentityRig } from "./rig.ts";
import { ROWS } from "./rows.ts";

/** Operations are counted here, each timed by itself. */
const COUNTED: Budget = { warmupMs: 0, measureMs: 0 };

/** Pairing and revocation. */
export const identity: Suite = {
  name: "identity",
  about: "pairing and revocation, with N live sessions of other devices",
  takes: "about a minute",
  rows: ROWS,
  optionalPeers: [],
  settings: [
    { name: "sessions", about: "N", default: 1000, quick: 20, least: 1, most: 10_000 },
    { name: "times", about: "revocations", default: 200, quick: 5, least: 1, most: 10_000 },
    { name: "pairings", about: "devices paired", default: 20, quick: 2, least: 1, most: 1000 },
  ],
  reps: 1,
  plan: { rounds: 1, first: COUNTED, later: COUNTED },
  quickPlan: { rounds: 1, first: COUNTED, later: COUNTED },
  open: async (options) => new IdentityRig(options),
};
