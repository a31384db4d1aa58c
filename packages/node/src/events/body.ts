import { encodeValue, MAX_EVENT_BYTES, ProtocolError } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";

const MAX_KIND_LENGTH = 128;
/** Kinds by which a node reports on attempts; an application's event of that kind would be taken for such a report. */
const RESERVED_KINDS = "task.";

/** @throws {NodeError} `OPTIONS_INVALID` for a kind that an application's event cannot have */
export function checkKind(kind: string): void {
  const fits = kind.length > 0 && kind.length <= MAX_KIND_LENGTH && kind.isWellFormed();
  if (fits && !kind.startsWith(RESERVED_KINDS)) return;
  throw new NodeError(
    "OPTIONS_INVALID",
    `an event's kind has 1 to ${MAX_KIND_LENGTH} characters and does not start with "${RESERVED_KINDS}"`,
  );
}

/**
 * An event's body as it is recorded.
 * @throws {NodeError} `OPTIONS_INVALID` for what CBOR cannot carry here, `EVENT_TOO_LARGE`
 */
export function encodeBody(data: unknown): Uint8Array {
  let body: Uint8Array;
  try {
    body = encodeValue(data);
  } catch (cause) {
    if (cause instanceof ProtocolError) throw new NodeError("OPTIONS_INVALID", cause.message, { cause });
    throw cause;
  }
  if (body.length > MAX_EVENT_BYTES) {
    throw new NodeError("EVENT_TOO_LARGE", `the event has ${body.length} bytes; ${MAX_EVENT_BYTES} at most`);
  }
  return body;
}
