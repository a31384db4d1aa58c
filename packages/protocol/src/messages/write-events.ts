/** Writes events of the log one behind the other, as the general encoder would: the counterpart of read-events.ts. What does not fit the form is left to the general encoder. */
import { encodeCbor } from "../cbor/encode.ts";
import {
  DATA,
  DEVICE,
  DEVICE_ID,
  EPOCH,
  EPOCH_BYTES,
  KIND,
  LOGGED,
  ORIGIN_BYTES,
  RECEIVED,
  SEQ,
  TIME,
} from "./event-form.ts";
import type { LoggedEvent } from "./events.ts";

/** Everything of an event but its kind and data, at most: keys and heads of 9 bytes. */
const FIXED_BYTES = 192;
/** Bytes of a UTF-16 unit in UTF-8, at most. */
const UTF8_UNIT_BYTES = 3;
const INITIAL_BYTES = 16_384;
/** A buffer that much data made bigger than this is not kept. */
const KEPT_BYTES = 1_048_576;

const encoder = new TextEncoder();
// As in cbor/encode.ts: one list is written at a time, and nothing that is called is foreign.
let target = new Uint8Array(INITIAL_BYTES);
let view = new DataView(target.buffer);
let at = 0;
/** Of the event before: where its device and epoch are in `target`, and where its kind is. */
let originAt = 0;
let kindAt = 0;
let kindBytes = 0;

/**
 * @returns the bytes, in memory of their own, and where each event ends
 * @throws {ProtocolError} `VALUE_UNENCODABLE`
 */
export function writeLoggedEvents(events: readonly LoggedEvent[]): {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly ends: readonly number[];
} {
  const ends: number[] = [];
  let last: LoggedEvent | undefined;
  at = 0;
  for (const event of events) {
    if (hasForm(event, last)) {
      writeEvent(event, last);
      last = event;
    } else {
      const encoded = encodeCbor(event);
      reserve(encoded.length);
      putAll(encoded);
    }
    ends.push(at);
  }
  const bytes = target.slice(0, at);
  if (target.length > KEPT_BYTES) resize(INITIAL_BYTES);
  return { bytes, ends };
}

function hasForm(event: LoggedEvent, last: LoggedEvent | undefined): boolean {
  const { device, kind } = event;
  return (
    isUint(event.offset) &&
    isUint(event.seq) &&
    isUint(event.time) &&
    isUint(event.received) &&
    event.outboxEpoch.length === EPOCH_BYTES &&
    (device === last?.device || DEVICE_ID.test(device)) &&
    (kind === last?.kind || kind.isWellFormed())
  );
}

function isUint(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
}

function writeEvent(event: LoggedEvent, last: LoggedEvent | undefined): void {
  const { device, outboxEpoch, kind, data } = event;
  reserve(FIXED_BYTES + kind.length * UTF8_UNIT_BYTES + data.length);
  put(LOGGED);
  putHead(0x00, event.offset);
  if (last?.outboxEpoch === outboxEpoch && last.device === device) {
    again(originAt, ORIGIN_BYTES);
  } else {
    originAt = at;
    put(DEVICE);
    at += encoder.encodeInto(device, target.subarray(at)).written;
    put(EPOCH);
    put(outboxEpoch);
  }
  put(SEQ);
  putHead(0x00, event.seq);
  put(KIND);
  if (last?.kind === kind) {
    again(kindAt, kindBytes);
  } else {
    kindAt = at;
    putText(kind);
    kindBytes = at - kindAt;
  }
  put(TIME);
  putHead(0x00, event.time);
  put(RECEIVED);
  putHead(0x00, event.received);
  put(DATA);
  putHead(0x40, data.length);
  putAll(data);
}

/** A few bytes: a loop beats the call. */
function put(bytes: Uint8Array): void {
  for (let index = 0; index < bytes.length; index++) target[at + index] = bytes[index] ?? 0;
  at += bytes.length;
}

function putAll(bytes: Uint8Array): void {
  target.set(bytes, at);
  at += bytes.length;
}

/** What was written from `from` on once more. */
function again(from: number, length: number): void {
  target.copyWithin(at, from, from + length);
  at += length;
}

function putText(text: string): void {
  const bytes = encoder.encode(text);
  putHead(0x60, bytes.length);
  putAll(bytes);
}

/** As `writeHead` in cbor/encode.ts. */
function putHead(major: number, argument: number): void {
  if (argument < 24) {
    target[at++] = major | argument;
  } else if (argument < 0x100) {
    target[at++] = major | 24;
    target[at++] = argument;
  } else if (argument < 0x1_0000) {
    target[at++] = major | 25;
    view.setUint16(at, argument);
    at += 2;
  } else if (argument < 0x1_0000_0000) {
    target[at++] = major | 26;
    view.setUint32(at, argument);
    at += 4;
  } else {
    target[at++] = major | 27;
    view.setUint32(at, Math.floor(argument / 0x1_0000_0000));
    view.setUint32(at + 4, argument % 0x1_0000_0000);
    at += 8;
  }
}

function reserve(bytes: number): void {
  if (at + bytes > target.length) resize(Math.max(target.length * 2, at + bytes));
}

function resize(bytes: number): void {
  const grown = new Uint8Array(bytes);
  grown.set(target.subarray(0, Math.min(at, bytes)));
  target = grown;
  view = new DataView(grown.buffer);
}
