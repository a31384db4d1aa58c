/** The events that chaos publishes: everything of one follows from its name, so that what is in the log can be checked to the byte. */
import { encodeValue } from "@quaymesh/protocol";
import { Random } from "../simulation/random.ts";

/** Kind of all of them. */
export const CHAOS_KIND = "chaos.event";

/** Names an event. */
export interface EventName {
  /** A process of a node: 10 000 x the node's number + the number of the start. */
  readonly run: number;
  /** A writer within it, which publishes one event after the other. */
  readonly writer: number;
  /** From 1. */
  readonly n: number;
}

const SMALL_BYTES = 300;
const LARGE_BYTES = 20_000;
const LARGE_SHARE = 0.01;

/** The event's value. */
export function valueOf({ run, writer, n }: EventName): unknown {
  const random = new Random(Math.imul(run, 1_000_003) ^ Math.imul(writer, 7919) ^ n);
  const size = random.chance(LARGE_SHARE) ? LARGE_BYTES : random.between(0, SMALL_BYTES);
  const fill = random.between(0, 255);
  return { run, writer, n, pad: new Uint8Array(size).fill(fill) };
}

/** The event's body, as it must be in the log. */
export function bodyOf(name: EventName): Uint8Array {
  return encodeValue(valueOf(name));
}

/** A name as a key. */
export function keyOf({ run, writer, n }: EventName): string {
  return `${String(run)}/${String(writer)}/${String(n)}`;
}

/** A name read from a decoded body, or `undefined` where it is none. */
export function nameIn(value: unknown): EventName | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const [run, writer, n]: unknown[] = ["run", "writer", "n"].map((field) => Reflect.get(value, field));
  if (typeof run !== "number" || typeof writer !== "number" || typeof n !== "number") return undefined;
  return { run, writer, n };
}
