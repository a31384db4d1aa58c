/** The frame that opens a stream. docs/wire.md, "Streams". */
import type { Static } from "typebox";
import { ProtocolError } from "../errors.ts";
import { WIRE_VERSION } from "./common.ts";
import { publishRequest, subscribeRequest } from "./events.ts";
import { rootsRequest } from "./mesh.ts";
import { pairHello } from "./pairing.ts";
import { checked, compileAll, decodeMap } from "./parse.ts";
import { healthRequest, renewRequest } from "./service.ts";
import { hello } from "./session.ts";
import { taskRun } from "./task.ts";

const SCHEMAS = {
  "session.open": hello,
  "events.publish": publishRequest,
  "events.subscribe": subscribeRequest,
  "certificate.renew": renewRequest,
  health: healthRequest,
  "task.run": taskRun,
  pair: pairHello,
  "mesh.roots": rootsRequest,
} as const;

/** Names of the methods a stream can open with. */
export type RequestMethod = keyof typeof SCHEMAS;

/** Any request frame; `method` tells which. */
export type Request = { [M in RequestMethod]: Static<(typeof SCHEMAS)[M]> }[RequestMethod];

/** Methods of streams that a node opens on the mesh endpoint. */
export const NODE_METHODS = [
  "session.open",
  "events.publish",
  "events.subscribe",
  "certificate.renew",
  "health",
] as const satisfies readonly RequestMethod[];

/** Methods of streams that a gateway opens. */
export const GATEWAY_METHODS = ["task.run"] as const satisfies readonly RequestMethod[];

/** Methods of the pairing endpoint. `certificate.renew` is there for a device whose certificate has run out, `mesh.roots` for one that knows an older root only. */
export const PAIRING_METHODS = ["pair", "certificate.renew", "mesh.roots"] as const satisfies readonly RequestMethod[];

const VALIDATORS = compileAll(SCHEMAS);

/**
 * Read the first frame of a stream.
 * @param methods what this side serves, for example {@link NODE_METHODS} on a gateway
 * @throws {ProtocolError} `VERSION_UNSUPPORTED`, `METHOD_UNKNOWN`, `MESSAGE_INVALID`, `CBOR_INVALID`; each is to be
 * answered with an error frame
 */
export function parseRequest<M extends RequestMethod>(
  body: Uint8Array,
  methods: readonly M[],
): Extract<Request, { readonly method: M }> {
  const value = decodeMap(body);
  const { v, method } = value;
  // The version first: a later one may mean anything by the rest.
  if (v !== WIRE_VERSION) {
    if (typeof v !== "number") throw new ProtocolError("MESSAGE_INVALID", "a request without a version");
    throw new ProtocolError("VERSION_UNSUPPORTED", `wire version ${v} where only ${WIRE_VERSION} is spoken`);
  }
  if (typeof method !== "string") throw new ProtocolError("MESSAGE_INVALID", "a request without a method");
  const served: readonly string[] = methods;
  const validator = served.includes(method) ? VALIDATORS.get(method) : undefined;
  if (validator === undefined) throw new ProtocolError("METHOD_UNKNOWN", "no such method here");
  return checked(validator, value, method) as Extract<Request, { readonly method: M }>;
}

/** The method a first frame names, whatever else is in it; `undefined` where it names none that could be read. */
export function methodOf(body: Uint8Array): string | undefined {
  try {
    const { method } = decodeMap(body);
    return typeof method === "string" ? method : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
