import type { RowSpec } from "../suite.ts";

/** What a transport is asked to do. */
export const WORKS = ["unary-1", "unary-64", "events", "bulk", "bulk-1350", "handshakes"] as const;

/** One of {@link WORKS}. */
export type Work = (typeof WORKS)[number];

/** Rows and goals. A goal is ours to the peer; `null` shows a peer for orientation. */
export const ROWS: readonly (RowSpec & { readonly work: Work })[] = [
  {
    work: "unary-1",
    unit: "µs p50",
    better: "lower",
    about: "200 B there, 200 B back, one at a time, each on its own stream",
    goals: { grpc: 0.4, http2: 0.9, ws: null, jsquic: null },
  },
  {
    work: "unary-64",
    unit: "req/s",
    better: "higher",
    about: "the same, 64 under way at once on one connection",
    goals: { grpc: 3, http2: 1.2, ws: null, jsquic: null },
  },
  {
    work: "events",
    unit: "events/s",
    better: "higher",
    about: "200 B events one way, one per frame or message, on one stream",
    goals: { grpc: 8, http2: 0.8, ws: null, jsquic: null },
  },
  {
    work: "bulk",
    unit: "MB/s",
    better: "higher",
    about: "64 KiB writes one way on one stream, loopback defaults",
    goals: { grpc: 2, http2: null, ws: null, dgram: null, jsquic: null },
  },
  {
    work: "bulk-1350",
    unit: "MB/s",
    better: "higher",
    about: "the same with our datagrams held to 1350 B (TCP is not held)",
    goals: { grpc: 0.5, http2: null, dgram: 0.6, jsquic: null },
  },
  {
    work: "handshakes",
    unit: "conn/s",
    better: "higher",
    about: "mutual TLS from nothing to a first answer, 32 under way at once",
    goals: { grpc: 2.5, http2: null, ws: null, jsquic: null },
  },
];

/** Parse a row's name. @throws {RangeError} */
export function workOf(name: string): Work {
  const work = WORKS.find((one) => one === name);
  if (work === undefined) throw new RangeError(`no such row: ${name}`);
  return work;
}
