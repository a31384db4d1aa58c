/**
 * Reads the two messages that come by the hundred thousand, `batch` and `events`, in the one form in which our own encoder writes them: no map is built key by key, and what neighbours share is
 * read once. Whatever looks different in the least is left to the general parser, so there is nothing here that refuses, and nothing that may take what the general parser would not: a test
 * holds the two against each other.
 */
import { readUtf8 } from "../cbor/text.ts";
import {
  BATCH,
  DATA,
  DEVICE,
  DEVICE_ID,
  DEVICE_ID_BYTES,
  EPOCH,
  EPOCH_BYTES,
  EVENTS,
  KIND,
  LOGGED,
  LOGGED_EVENTS,
  MAX_BATCH_EVENTS,
  MAX_EVENT_BYTES,
  ORIGIN_BYTES,
  PUBLISHED,
  RECEIVED,
  SEQ,
  TIME,
} from "./event-form.ts";
import type { EventBatch, LoggedEvent, PublishedEvent } from "./events.ts";

/** UTF-16 units of a kind, and bytes of one that takes three for each. */
const MAX_KIND = 128;
const MAX_KIND_BYTES = 3 * MAX_KIND;
/** Not the number that was looked for. */
const NONE = -1;

interface EventsMessage {
  readonly type: "events";
  readonly events: LoggedEvent[];
}

// As in cbor/decode.ts: one message is read at a time.
const EMPTY: Uint8Array = new Uint8Array(0);
let source = EMPTY;
let at = 0;
/** Of the event before: where its kind is in `source`, and as text. */
let kindAt = 0;
let kindBytes = 0;
let kind = "";

/** A `batch`; `undefined` where the general parser has to look. */
export function readBatchMessage(body: Uint8Array): EventBatch | undefined {
  return reading(body, readBatch);
}

/** An `events` message; `undefined` where the general parser has to look. */
export function readEventsMessage(body: Uint8Array): EventsMessage | undefined {
  return reading(body, readEvents);
}

/** Events of the log one behind the other, as `writeLoggedEvents` gives them; `undefined` where the general decoder has to look. */
export function readLoggedEvents(bytes: Uint8Array): readonly LoggedEvent[] | undefined {
  return reading(bytes, () => readLogged(Infinity));
}

function reading<T>(body: Uint8Array, read: () => T | undefined): T | undefined {
  // Views of a subclass would be of that subclass.
  source = body.constructor === Uint8Array ? body : new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  at = 0;
  kindBytes = 0;
  try {
    const message = read();
    return at === source.length ? message : undefined;
  } finally {
    source = EMPTY;
  }
}

function readBatch(): EventBatch | undefined {
  if (!skip(BATCH)) return undefined;
  const first = readUint();
  const count = first >= 1 && skip(EVENTS) ? readCount() : NONE;
  if (count === NONE) return undefined;
  const events: PublishedEvent[] = [];
  for (let index = 0; index < count; index++) {
    if (!skip(PUBLISHED) || !readKind() || !skip(TIME)) return undefined;
    const time = readUint();
    const data = time === NONE ? undefined : readData();
    if (data === undefined) return undefined;
    events.push({ kind, time, data });
  }
  return { type: "batch", first, events };
}

function readEvents(): EventsMessage | undefined {
  const count = skip(LOGGED_EVENTS) ? readCount() : NONE;
  const events = count === NONE ? undefined : readLogged(count);
  return events && { type: "events", events };
}

/** Events up to `count` of them, or to the end. */
function readLogged(count: number): LoggedEvent[] | undefined {
  const events: LoggedEvent[] = [];
  let originAt = 0;
  let device = "";
  let outboxEpoch = source;
  while (events.length < count && at < source.length) {
    if (!skip(LOGGED)) return undefined;
    const offset = readUint();
    if (offset < 1) return undefined;
    if (events.length === 0 || !isSame(originAt, ORIGIN_BYTES)) {
      originAt = at;
      const id = readDevice();
      const epoch = id === undefined ? undefined : readEpoch();
      if (id === undefined || epoch === undefined) return undefined;
      device = id;
      outboxEpoch = epoch;
    } else at += ORIGIN_BYTES;
    if (!skip(SEQ)) return undefined;
    const seq = readUint();
    if (seq < 1 || !skip(KIND) || !readKind() || !skip(TIME)) return undefined;
    const time = readUint();
    if (time === NONE || !skip(RECEIVED)) return undefined;
    const received = readUint();
    const data = received === NONE ? undefined : readData();
    if (data === undefined) return undefined;
    events.push({ offset, device, outboxEpoch, seq, kind, time, received, data });
  }
  return count === Infinity || events.length === count ? events : undefined;
}

/** Whether these bytes come next; they are behind us then. */
function skip(bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) if (source[at + index] !== bytes[index]) return false;
  at += bytes.length;
  return true;
}

/** Whether the next `length` bytes are those from `from` on. */
function isSame(from: number, length: number): boolean {
  if (at + length > source.length) return false;
  for (let index = 0; index < length; index++) if (source[at + index] !== source[from + index]) return false;
  return true;
}

/** The argument of an item of a major type, whose initial byte without it is `major`; within 2^53. */
function readHead(major: number): number {
  const info = (source[at] ?? 0xff) - major;
  if (info < 0 || info > 27) return NONE;
  if (info < 24) {
    at += 1;
    return info;
  }
  const size = 1 << (info - 24);
  if (at + size >= source.length) return NONE;
  let argument = 0;
  for (let index = 1; index <= size; index++) argument = argument * 256 + (source[at + index] ?? 0);
  at += 1 + size;
  return Number.isSafeInteger(argument) ? argument : NONE;
}

function readUint(): number {
  return readHead(0x00);
}

function readCount(): number {
  const count = readHead(0x80);
  return count < 1 || count > MAX_BATCH_EVENTS ? NONE : count;
}

/** `data` and its value, the last of an event. */
function readData(): Uint8Array | undefined {
  const length = skip(DATA) ? readHead(0x40) : NONE;
  if (length < 1 || length > MAX_EVENT_BYTES || at + length > source.length) return undefined;
  const start = at;
  at += length;
  return source.subarray(start, at);
}

/** A kind, into `kind`. */
function readKind(): boolean {
  const length = readHead(0x60);
  if (length < 1 || length > MAX_KIND_BYTES || at + length > source.length) return false;
  if (length !== kindBytes || !isSame(kindAt, length)) {
    const read = readUtf8(source, at, at + length);
    if (read === undefined || read.length > MAX_KIND) return false;
    kindAt = at;
    kindBytes = length;
    kind = read;
  }
  at += length;
  return true;
}

function readDevice(): string | undefined {
  if (!skip(DEVICE)) return undefined;
  const id = readUtf8(source, at, at + DEVICE_ID_BYTES);
  at += DEVICE_ID_BYTES;
  return id !== undefined && DEVICE_ID.test(id) ? id : undefined;
}

function readEpoch(): Uint8Array | undefined {
  if (!skip(EPOCH) || at + EPOCH_BYTES > source.length) return undefined;
  const start = at;
  at += EPOCH_BYTES;
  return source.subarray(start, at);
}
