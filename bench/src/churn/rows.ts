import type { RowSpec } from "../suite.ts";

/** What is done over and over, and whose memory is looked at. */
const WORKS = ["connections-server", "connections-client", "streams-server", "streams-client"] as const;

/** One of the rows. */
export type ChurnWork = (typeof WORKS)[number];

/** 250 bytes a connection, a quarter of a megabyte over the second half of a plain run: as much as an allocator moves by itself, and less than anything that could be left of one. */
const CONNECTION_BOUND = 250;
/** 20 bytes a stream: quiche keeps the number of every finished stream for the life of its connection, 9 to 18 bytes in a hash table that doubles. */
const STREAM_BOUND = 20;

/** Rows and bounds. Other systems are measured when they are named; nothing is held against them. */
export const ROWS: readonly (RowSpec & { readonly work: ChurnWork })[] = [
  {
    work: "connections-server",
    unit: "KB/1000",
    better: "lower",
    about: "server's RSS by 1 000 connections opened, used, closed",
    goals: { ws: null, http2: null, jsquic: null },
    bound: CONNECTION_BOUND,
    isIncomparable: true,
  },
  {
    work: "connections-client",
    unit: "KB/1000",
    better: "lower",
    about: "the same, client's",
    goals: { ws: null, http2: null, jsquic: null },
    bound: CONNECTION_BOUND,
    isIncomparable: true,
  },
  {
    work: "streams-server",
    unit: "KB/1000",
    better: "lower",
    about: "server's RSS by 1 000 requests on one connection",
    goals: { http2: null, jsquic: null },
    bound: STREAM_BOUND,
    isIncomparable: true,
  },
  {
    work: "streams-client",
    unit: "KB/1000",
    better: "lower",
    about: "the same, client's",
    goals: { http2: null, jsquic: null },
    bound: STREAM_BOUND,
    isIncomparable: true,
  },
];

/** Parse a row's name. @throws {RangeError} */
export function churnWorkOf(name: string): ChurnWork {
  const work = WORKS.find((one) => one === name);
  if (work === undefined) throw new RangeError(`no such row: ${name}`);
  return work;
}
