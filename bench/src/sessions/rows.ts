import type { RowSpec } from "../suite.ts";

/** What many idle sessions are asked for. */
const WORKS = [
  "memory",
  "memory-growth",
  "idle-cpu",
  "idle-cpu-growth",
  "establish",
  "active",
  "active-growth",
  "gateway-memory",
  "gateway-cpu",
] as const;

/** One of the rows. */
export type SessionsWork = (typeof WORKS)[number];

/** Sessions at a tenth are mostly the sessions themselves already, so a cost that grows with their square shows as ten, and linear as one. */
const FLAT = 1.25;

/** Rows and goals. */
export const ROWS: readonly (RowSpec & { readonly work: SessionsWork })[] = [
  {
    work: "memory",
    unit: "KB/session",
    better: "lower",
    about: "server's RSS for each of N sessions, beyond its RSS without",
    goals: { ws: 0.7 },
  },
  {
    work: "memory-growth",
    unit: "x",
    better: "lower",
    about: "the same with N sessions, to that with N/10",
    goals: { ws: null },
    bound: FLAT,
    isIncomparable: true,
  },
  {
    work: "idle-cpu",
    unit: "% of a core",
    better: "lower",
    about: "server's CPU while N sessions do nothing but keep-alive",
    goals: { ws: null },
    bound: 5,
  },
  {
    work: "idle-cpu-growth",
    unit: "x",
    better: "lower",
    about: "the same for each session with N, to that with N/10",
    goals: { ws: null },
    // A tenth is some milliseconds of CPU time: less sharp.
    bound: 1.5,
    isIncomparable: true,
  },
  {
    work: "establish",
    unit: "conn/s",
    better: "higher",
    about: "opening them, 32 at once, each answered once",
    goals: { ws: null },
  },
  {
    work: "active",
    unit: "µs p50",
    better: "lower",
    about: "200 B there and back, one at a time over 100 of the N",
    goals: { ws: null },
  },
  {
    work: "active-growth",
    unit: "x",
    better: "lower",
    about: "the same with N open, to that with N/100 open",
    goals: { ws: null },
    bound: 1.5,
    isIncomparable: true,
  },
  {
    work: "gateway-memory",
    unit: "KB/session",
    better: "lower",
    about: "as memory, ours a whole gateway: N devices, heartbeats",
    goals: { ws: 0.7 },
  },
  {
    work: "gateway-cpu",
    unit: "% of a core",
    better: "lower",
    about: "as idle-cpu, ours a whole gateway",
    goals: { ws: null },
    bound: 5,
  },
];

/** Parse a row's name. @throws {RangeError} */
export function sessionsWorkOf(name: string): SessionsWork {
  const work = WORKS.find((one) => one === name);
  if (work === undefined) throw new RangeError(`no such row: ${name}`);
  return work;
}
