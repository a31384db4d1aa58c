/** Schema pieces shared by the messages. Lengths are in bytes for byte strings and UTF-16 units for text. */
import { Type, type TSchema } from "typebox";

/** Wire version, in every request frame. */
export const WIRE_VERSION = 1;

/** A byte string of `min` to `max` bytes. */
export function bytes(min: number, max: number) {
  return Type.Refine(
    Type.Unsafe<Uint8Array>({}),
    (value: unknown) => value instanceof Uint8Array && value.length >= min && value.length <= max,
    () => `expected ${min} to ${max} bytes`,
  );
}

/** A map by `schema` where none of its keys is required: the schema alone would take a byte string for an empty one. */
export const map = <T extends TSchema>(schema: T) =>
  Type.Refine(
    schema,
    (value: unknown) => !(value instanceof Uint8Array),
    () => "expected a map",
  );

/** A map of which only the receiver knows the keys. */
export const openMap = () => map(Type.Record(Type.String(), Type.Unknown()));

/** Text of `min` to `max` UTF-16 units. */
export const text = (max: number, min = 1) => Type.String({ minLength: min, maxLength: max });

/** An unsigned integer within 2^53. */
export const uint = (maximum: number = Number.MAX_SAFE_INTEGER) => Type.Integer({ minimum: 0, maximum });

/** A position in an outbox or a log: they start at 1, and 0 stands for none where that may be said. */
export const position = () => Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

// Crockford base32, upper case.
const ulid = () => Type.String({ pattern: "^[0-9A-HJKMNP-TV-Z]{26}$" });

/** Device ids are ULIDs in Crockford base32, upper case. */
export const deviceId = ulid();

/** Task ids are ULIDs too. */
export const taskId = ulid();

/** Opens a stream: the wire version and the method, then the method's own fields. */
export const request = <M extends string, P extends Record<string, TSchema>>(method: M, fields: P) =>
  Type.Object({ v: Type.Literal(WIRE_VERSION), method: Type.Literal(method), ...fields });

/** A message after the request frame. */
export const message = <T extends string, P extends Record<string, TSchema>>(type: T, fields: P) =>
  Type.Object({ type: Type.Literal(type), ...fields });

/** The error frame: the last frame of a stream that failed. */
export const errorMessage = message("error", {
  code: text(64),
  message: text(512, 0),
  retryAfterMs: Type.Optional(uint()),
  details: Type.Optional(openMap()),
});
