/** A place in a log as text, `<log>:<offset>`: to print, keep in a file and give back. */
import { ProtocolError } from "../errors.ts";

/** A place in a log. It only means something together with the log's name. */
export interface EventCursor {
  readonly log: string;
  /** The offset of the last event seen; 0 is before the first. */
  readonly offset: number;
}

/** Most characters of a log's name. */
const MAX_LOG_UNITS = 64;
/** No leading zeros: one place has one spelling. */
const OFFSET = /^(?:0|[1-9]\d{0,15})$/u;

/** @throws {ProtocolError} `VALUE_UNENCODABLE` for what is no place in a log */
export function formatCursor({ log, offset }: EventCursor): string {
  const text = `${log}:${offset}`;
  const parsed = split(text);
  if (parsed?.log !== log || parsed.offset !== offset) {
    throw new ProtocolError("VALUE_UNENCODABLE", "that is no place in a log");
  }
  return text;
}

/**
 * Read what {@link formatCursor} wrote.
 * @throws {ProtocolError} `VALUE_UNENCODABLE`; the text is the caller's
 */
export function parseCursor(text: string): EventCursor {
  const cursor = split(text);
  if (cursor === undefined) {
    throw new ProtocolError("VALUE_UNENCODABLE", "a cursor is <log>:<offset>, as it was printed");
  }
  return cursor;
}

function split(text: string): EventCursor | undefined {
  const colon = text.lastIndexOf(":");
  const log = text.slice(0, Math.max(0, colon));
  const digits = text.slice(colon + 1);
  const offset = Number(digits);
  if (log === "" || log.length > MAX_LOG_UNITS || !OFFSET.test(digits) || !Number.isSafeInteger(offset)) {
    return undefined;
  }
  return { log, offset };
}
