/** The vectors of messages, and which parser each is for. */
import {
  GATEWAY_METHODS,
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
  parseRootsReply,
  parseSubscriberMessage,
  parseSubscriptionMessage,
  parseTaskFromNode,
  parseTaskToNode,
  type MessageParser,
  type RequestMethod,
} from "@quaymesh/protocol";
import { fromHex, readVectors } from "./vectors.ts";

/** A frame body of a stream. */
export interface Vector {
  readonly name: string;
  readonly stream: string;
  readonly from: "node" | "gateway";
  readonly request?: boolean;
  readonly hex: string;
  readonly value?: unknown;
  readonly code?: string;
}

/** schemas/wire/vectors/messages.json. */
export const vectors = readVectors("messages.json") as {
  readonly messages: readonly Vector[];
  readonly unknown: readonly Vector[];
  readonly errors: readonly { readonly name: string; readonly hex: string; readonly value: unknown }[];
  readonly rejected: readonly Vector[];
  readonly eventData: readonly { readonly kind: string; readonly hex: string; readonly value: unknown }[];
};

/** The parser of each stream and direction. */
export const PARSERS: Readonly<Record<string, MessageParser<unknown>>> = {
  "session.open from node": parseNodeControl,
  "session.open from gateway": parseGatewayControl,
  "events.publish from node": parsePublishMessage,
  "events.publish from gateway": parsePublishReply,
  "events.subscribe from node": parseSubscriberMessage,
  "events.subscribe from gateway": parseSubscriptionMessage,
  "task.run from gateway": parseTaskToNode,
  "task.run from node": parseTaskFromNode,
  "pair from node": parsePairToGateway,
  "pair from gateway": parsePairToNode,
  "certificate.renew from gateway": parseRenewReply,
  "health from gateway": parseHealthReply,
  "mesh.roots from gateway": parseRootsReply,
};

/** Methods served where such a request arrives. */
function servedFor({ stream, from }: Vector): readonly RequestMethod[] {
  if (stream === "pair" || stream === "mesh.roots") return PAIRING_METHODS;
  return from === "gateway" ? GATEWAY_METHODS : NODE_METHODS;
}

/** Parse a vector as its receiver would. */
export function parseVector(vector: Vector): unknown {
  const body = fromHex(vector.hex);
  if (vector.request === true) return parseRequest(body, servedFor(vector));
  const parser = PARSERS[`${vector.stream} from ${vector.from}`];
  if (parser === undefined) throw new Error(`no parser for ${vector.stream} from ${vector.from}`);
  return parser(body);
}
