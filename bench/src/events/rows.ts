import type { RowSpec } from "../suite.ts";

const WORKS = ["durable", "latency", "replay", "replay-operator", "growth", "fair"] as const;

/** One of the rows. */
export type EventsWork = (typeof WORKS)[number];

const REPLAY_BOUND = 200_000;
const LATENCY_BOUND_MS = 5;
/** Noise of a figure that should be 1. */
const GROWTH_BOUND = 1.25;

/** Rows, goals and bounds. */
export const ROWS: readonly (RowSpec & { readonly work: EventsWork })[] = [
  {
    work: "durable",
    unit: "events/s",
    better: "higher",
    about: "node's fsync, commit, ack, subscriber; 200 B",
    goals: { sqlite: 0.5 },
  },
  {
    work: "latency",
    unit: "ms p50",
    better: "lower",
    about: "from publish to the subscriber, fsync on both ends",
    goals: {},
    bound: LATENCY_BOUND_MS,
  },
  {
    work: "replay",
    unit: "events/s",
    better: "higher",
    about: "a node reads the log over QUIC",
    goals: {},
    bound: REPLAY_BOUND,
  },
  {
    work: "replay-operator",
    unit: "events/s",
    better: "higher",
    about: "an operator reads it over the admin socket",
    goals: {},
    bound: REPLAY_BOUND,
  },
  {
    work: "growth",
    unit: "x",
    better: "lower",
    about: "time to store an event: in a log of N to an empty one",
    goals: {},
    bound: GROWTH_BOUND,
    isIncomparable: true,
  },
  {
    work: "fair",
    unit: "ms p99",
    better: "lower",
    about: "publish to ack of 50 quiet nodes beside one that floods",
    goals: {},
  },
];

/** Parse a row's name. @throws {RangeError} */
export function eventsWorkOf(name: string): EventsWork {
  const work = WORKS.find((one) => one === name);
  if (work === undefined) throw new RangeError(`no such row: ${name}`);
  return work;
}
