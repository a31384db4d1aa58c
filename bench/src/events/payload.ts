/** What is published, and how time is told across processes. */
import { decodeValue } from "@quaymesh/protocol";
import type { NodeEvent } from "@quaymesh/node";

/** Kind of what is published as fast as it goes. */
export const FLOOD_KIND = "bench.flood";
/** Kind of what carries its time. */
export const TICK_KIND = "bench.tick";
const EVENT_BYTES = 200;
/** Bytes in front of a CBOR byte string of that length. */
const HEAD_BYTES = 2;

/** An event's value: 200 bytes of body. */
export const PAYLOAD: Uint8Array = new Uint8Array(EVENT_BYTES - HEAD_BYTES).fill(0x5a);

/** CLOCK_MONOTONIC in milliseconds: one clock for all processes of a machine. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** When a tick was published; `undefined` for anything else. */
export function tickTimeIn({ kind, body }: NodeEvent): number | undefined {
  if (kind !== TICK_KIND) return undefined;
  const value = decodeValue(body);
  const at: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "at") : undefined;
  return typeof at === "number" ? at : undefined;
}
