import type { Budget, Suite } from "../suite.ts";
import { EventsRig } from "./rig.ts";
import { ROWS } from "./rows.ts";

const FIRST: Budget = { warmupMs: 2000, measureMs: 3000 };
const LATER: Budget = { warmupMs: 500, measureMs: 3000 };
const GLANCE: Budget = { warmupMs: 50, measureMs: 200 };

/** The path of an event, from the outbox on one disk to the log on another and to whoever reads it: real processes, real QUIC. */
export const events: Suite = {
  name: "events",
  about: "durable events from node to gateway to subscriber",
  takes: "about 3 minutes",
  rows: ROWS,
  optionalPeers: [],
  settings: [
    { name: "log-events", about: "N of growth", default: 1_000_000, quick: 20_000, least: 10_000, most: 100_000_000 },
  ],
  reps: 1,
  plan: { rounds: 3, first: FIRST, later: LATER },
  quickPlan: { rounds: 1, first: GLANCE, later: GLANCE },
  open: (options) => EventsRig.open(options),
};
