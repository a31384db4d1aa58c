/**
 * From a frame body to a typed message: CBOR profile, then the message's own schema. Behind these functions nothing is
 * `unknown`. Fields a schema does not name stay on the object, unread; message types nobody here knows give
 * `undefined`. Both are forward compatibility, docs/wire.md, "Versions".
 */
import type { Static, TSchema } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { decodeCbor } from "../cbor/decode.ts";
import type { CborLimits } from "../cbor/limits.ts";
import { ProtocolError, RemoteError } from "../errors.ts";
import { errorMessage } from "./common.ts";

type Schemas = Readonly<Record<string, TSchema>>;

/** Reads one frame body as one of some messages. */
export type MessageParser<T> = (body: Uint8Array) => T | undefined;

const checkError = Compile(errorMessage);

/**
 * A parser of the messages whose `type` is a key of `schemas`.
 *
 * What it returns throws {@link ProtocolError} `CBOR_INVALID` or `MESSAGE_INVALID`, and {@link RemoteError} when the
 * body is an error frame: that is the end of the stream, which no reader may take for a message.
 * @param readOften reads what comes most often without a detour; what it gives must be what the schema would let through, and `undefined` says that it does not know
 */
export function messageParser<S extends Schemas>(
  schemas: S,
  readOften?: MessageParser<Static<S[keyof S]>>,
): MessageParser<Static<S[keyof S]>> {
  const validators = compileAll(schemas);
  return (body) => {
    const often = readOften?.(body);
    if (often !== undefined) return often;
    const value = decodeMap(body);
    const type = value["type"];
    if (typeof type !== "string") throw new ProtocolError("MESSAGE_INVALID", "a message without a type");
    if (type === "error") throw remoteError(value);
    const validator = validators.get(type);
    if (validator === undefined) return undefined;
    return checked(validator, value, type) as Static<S[keyof S]>;
  };
}

/**
 * Decode a body that must be a map.
 * @throws {ProtocolError} `CBOR_INVALID`, `MESSAGE_INVALID`
 */
export function decodeMap(body: Uint8Array, limits?: CborLimits): Readonly<Record<string, unknown>> {
  const value = decodeCbor(body, limits);
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)) {
    return value as Record<string, unknown>;
  }
  throw new ProtocolError("MESSAGE_INVALID", "a message that is not a map");
}

/** Compile `schemas` once, at load: the first message of a session then costs what the thousandth does. */
export function compileAll(schemas: Schemas): ReadonlyMap<string, Validator> {
  return new Map(Object.entries(schemas).map(([name, schema]) => [name, Compile(schema)]));
}

/**
 * `value`, judged by its schema.
 * @throws {ProtocolError} `MESSAGE_INVALID`, naming the field but not its content
 */
export function checked(validator: Validator, value: unknown, name: string): unknown {
  if (validator.Check(value)) return value;
  const first = validator.Errors(value)[0];
  const where = first === undefined || first.instancePath === "" ? "" : ` at ${first.instancePath}`;
  throw new ProtocolError("MESSAGE_INVALID", `${name}${where}: ${first?.message ?? "does not fit its schema"}`);
}

function remoteError(value: Readonly<Record<string, unknown>>): RemoteError | ProtocolError {
  if (!checkError.Check(value))
    return new ProtocolError("MESSAGE_INVALID", "an error frame that does not fit its schema");
  return new RemoteError(value.code, value.message, {
    ...(value.retryAfterMs !== undefined && { retryAfterMs: value.retryAfterMs }),
    ...(value.details !== undefined && { details: value.details }),
  });
}
