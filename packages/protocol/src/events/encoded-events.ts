/**
 * Logged events as `events.subscribe` carries them, encoded where they are read from disk: most are only passed on, to many readers, in pieces that each one's credit
 * decides. No schema is needed for it, so a thread that only reads a store may have it.
 */
import { decodeSequence } from "../cbor/decode.ts";
import { frameHead } from "../frame/encode.ts";
import { LOGGED_EVENTS } from "../messages/event-form.ts";
import { readLoggedEvents } from "../messages/read-events.ts";
import { writeLoggedEvents } from "../messages/write-events.ts";
import type { LoggedEvent } from "../messages/events.ts";

/** Numbers per event in {@link EncodedEvents.marks}: its offset, where its encoding ends, and how much data there is up to its end. */
const STRIDE = 3;

/** A stretch of encoded events. Plain data, whose two buffers may move to another thread. */
export interface EncodedEvents {
  /** The CBOR of one `LoggedEvent` behind the other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly marks: Float64Array<ArrayBuffer>;
  /** Those from this one, counted from 0, up to but without `to` are meant. */
  readonly from: number;
  readonly to: number;
}

/** @throws {ProtocolError} `VALUE_UNENCODABLE` */
export function encodeEvents(events: readonly LoggedEvent[]): EncodedEvents {
  const { bytes, ends } = writeLoggedEvents(events);
  const marks = new Float64Array(events.length * STRIDE);
  let data = 0;
  for (const [index, event] of events.entries()) {
    data += event.data.length;
    const at = index * STRIDE;
    marks[at] = event.offset;
    marks[at + 1] = ends[index] ?? 0;
    marks[at + 2] = data;
  }
  return { bytes, marks, from: 0, to: events.length };
}

/** How many they are. */
export function eventCount({ from, to }: EncodedEvents): number {
  return to - from;
}

/** Bytes of their data together, as a subscriber's credit counts them. */
export function dataBytes(events: EncodedEvents): number {
  return dataEnd(events, events.to) - dataEnd(events, events.from);
}

/** Offset of the last of them; `undefined` where there is none. */
export function lastOffset({ marks, from, to }: EncodedEvents): number | undefined {
  return from === to ? undefined : marks[(to - 1) * STRIDE];
}

/** As many of the first as there is room for; one at least, where there is any. */
export function firstEvents(events: EncodedEvents, maxEvents: number, maxBytes: number): EncodedEvents {
  const { from, to } = events;
  const start = dataEnd(events, from);
  const most = Math.min(to, from + maxEvents);
  let end = Math.min(most, from + 1);
  while (end < most && dataEnd(events, end + 1) - start <= maxBytes) end += 1;
  return { ...events, to: end };
}

/** What is left behind the first of them. */
export function eventsBehind(events: EncodedEvents, first: EncodedEvents): EncodedEvents {
  return { ...events, from: first.to };
}

/** Those of them behind an offset. */
export function eventsAfter(events: EncodedEvents, offset: number): EncodedEvents {
  let { from } = events;
  while (from < events.to && (events.marks[from * STRIDE] ?? 0) <= offset) from += 1;
  return { ...events, from };
}

/** An `events` message of them as a frame, in two parts: what comes first, and the events themselves, which are a view. @throws {ProtocolError} `VALUE_UNENCODABLE` where they are too many bytes for one */
export function eventsFrame(events: EncodedEvents): readonly [head: Uint8Array, rest: Uint8Array] {
  const rest = eventBytes(events);
  return [frameHead([...LOGGED_EVENTS, ...arrayHead(eventCount(events))], rest.length), rest];
}

/** The events' CBOR, one behind the other: a view. */
export function eventBytes(events: EncodedEvents): Uint8Array {
  return events.bytes.subarray(byteEnd(events, events.from), byteEnd(events, events.to));
}

/** The events again, from what {@link eventBytes} gave. Byte strings are views. It is trusted to be events. @throws {ProtocolError} `CBOR_INVALID` */
export function decodeEvents(bytes: Uint8Array): readonly LoggedEvent[] {
  return readLoggedEvents(bytes) ?? (decodeSequence(bytes) as readonly LoggedEvent[]);
}

function arrayHead(count: number): readonly number[] {
  if (count < 24) return [0x80 | count];
  return count < 0x100 ? [0x98, count] : [0x99, count >> 8, count & 0xff];
}

function byteEnd({ marks }: EncodedEvents, index: number): number {
  return index === 0 ? 0 : (marks[(index - 1) * STRIDE + 1] ?? 0);
}

function dataEnd({ marks }: EncodedEvents, index: number): number {
  return index === 0 ? 0 : (marks[(index - 1) * STRIDE + 2] ?? 0);
}
