/** Every parser of a frame body, in both directions, and what unpacks a batch: what a peer may make us read as a message. */
import {
  decodeCbor,
  GATEWAY_METHODS,
  methodOf,
  NODE_METHODS,
  PAIRING_METHODS,
  parseGatewayControl,
  parseHealthReply,
  parseNodeControl,
  parsePairToGateway,
  parsePairToNode,
  parsePublishMessage,
  parsePublishReply,
  parseRenewReply,
  parseRequest,
  parseSubscriberMessage,
  parseSubscriptionMessage,
  parseTaskEvent,
  parseTaskFromNode,
  parseTaskToNode,
  ProtocolError,
  readResultRef,
  RemoteError,
} from "@quaymesh/protocol";
import { unpackBatch } from "../../../packages/gateway/src/events/unpack.ts";
import type { Random } from "../random.ts";
import { type PureTarget, Violation } from "../target.ts";
import { vectorBytes } from "../vectors.ts";
import { mutateBytes } from "../bytes.ts";
import { mutateValue, write } from "./message-values.ts";

const MAX_BYTES = 524_288;
/** `error` frames say at most this, docs/wire.md, "Error codes". */
const MAX_CODE_UNITS = 64;
/** What we say of a bad frame goes back to the peer and into logs. */
const MAX_REFUSAL_UNITS = 512;

const REQUEST_CODES = new Set(["CBOR_INVALID", "MESSAGE_INVALID", "METHOD_UNKNOWN", "VERSION_UNSUPPORTED"]);
const MESSAGE_CODES = new Set(["CBOR_INVALID", "MESSAGE_INVALID"]);

function unpack(body: Uint8Array): void {
  const message = parsePublishMessage(body);
  if (message?.type !== "batch.packed") return;
  const { events } = unpackBatch(message);
  if (events.length === 0) throw new Violation("a packed batch gave no event");
}

const MESSAGE_PARSERS: readonly ((body: Uint8Array) => unknown)[] = [
  parseNodeControl,
  parseGatewayControl,
  parsePublishMessage,
  unpack,
  parsePublishReply,
  parseSubscriberMessage,
  parseSubscriptionMessage,
  parseTaskToNode,
  parseTaskFromNode,
  parsePairToGateway,
  parsePairToNode,
  parseRenewReply,
  parseHealthReply,
  (body) => parseTaskEvent("task.progress", body),
  (body) => parseTaskEvent("task.log", body),
  (body) => parseTaskEvent("task.output", body),
  (body) => parseTaskEvent("task.result", body),
  (body) => readResultRef(body),
];

const REQUEST_PARSERS: readonly ((body: Uint8Array) => unknown)[] = [
  (body) => parseRequest(body, NODE_METHODS),
  (body) => parseRequest(body, GATEWAY_METHODS),
  (body) => parseRequest(body, PAIRING_METHODS),
];

function refused(parse: (body: Uint8Array) => unknown, body: Uint8Array, codes: ReadonlySet<string>): boolean {
  try {
    parse(body);
    return false;
  } catch (error) {
    if (error instanceof RemoteError) {
      if (error.code.length > MAX_CODE_UNITS) throw new Violation("an error frame's code is longer than allowed");
      return false;
    }
    if (!(error instanceof ProtocolError)) throw error;
    if (!codes.has(error.code)) throw new Violation(`refused with ${error.code}, which nobody expects here`);
    if (error.message.length > MAX_REFUSAL_UNITS)
      throw new Violation("the refusal repeats too much of the peer's bytes");
    return true;
  }
}

const isCbor = (body: Uint8Array): boolean => {
  try {
    decodeCbor(body);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
};

function run(body: Uint8Array): void {
  const taken = isCbor(body);
  for (const parse of MESSAGE_PARSERS.slice(0, -5)) {
    if (!refused(parse, body, MESSAGE_CODES) && !taken) throw new Violation("a message was read from what is no CBOR");
  }
  for (const parse of MESSAGE_PARSERS.slice(-5)) refused(parse, body, MESSAGE_CODES);
  for (const parse of REQUEST_PARSERS) {
    if (!refused(parse, body, REQUEST_CODES) && methodOf(body) === undefined) {
      throw new Violation("a request was read that names no method");
    }
  }
}

const valueOf = (body: Uint8Array): unknown => {
  try {
    return decodeCbor(body);
  } catch {
    return undefined;
  }
};

function mutate(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array {
  let value = valueOf(input);
  if (value === undefined) return mutateBytes(random, input, other, MAX_BYTES);
  const lent = valueOf(other);
  for (let left = 1 + random.length(4); left > 0; left -= 1) value = mutateValue(random, value, lent);
  return write(random, value);
}

/** See the top of the file. */
export const target: PureTarget = {
  maxBytes: MAX_BYTES,
  seeds: () => vectorBytes("messages"),
  mutate,
  run,
  readers: [decodeCbor, ...MESSAGE_PARSERS, ...REQUEST_PARSERS],
};
