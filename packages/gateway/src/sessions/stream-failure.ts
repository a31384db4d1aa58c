/** What a node is told when its stream fails, and how a stream that failed ends. */
import { IdentityError } from "@quaymesh/identity";
import {
  CLOSE_CODES,
  ProtocolError,
  RemoteError,
  TransportError,
  type ErrorFacts,
  type MessageStream,
} from "@quaymesh/protocol";
import { GatewayError, type GatewayErrorCode } from "../errors.ts";
import type { LiveSession } from "./live-session.ts";
import { awaitPeerEnd, PEER_END_MS } from "./peer-end.ts";

/** When a node may try again what the store could not take. */
const RETRY_AFTER_MS = 1000;

/** End a stream that nobody reads any more with an error frame, and wait for the peer's end. */
export async function failStream(error: unknown, messages: MessageStream, session: LiveSession): Promise<void> {
  if (await tellFailure(error, messages, session)) await awaitPeerEnd(messages, session.context.clock);
}

/** As {@link failStream}, while someone else still reads: the reader sees the peer's end, or a reset where the peer does not end. */
export async function failWhileReading(error: unknown, messages: MessageStream, session: LiveSession): Promise<void> {
  session.context.clock.after(PEER_END_MS, () => messages.reset(CLOSE_CODES.timeout));
  await tellFailure(error, messages, session);
}

/** @returns whether there was someone to tell */
async function tellFailure(error: unknown, messages: MessageStream, session: LiveSession): Promise<boolean> {
  // The peer or the path is gone.
  if (error instanceof TransportError) return false;
  try {
    // A peer that gave up is not told why: it has just told us.
    if (error instanceof RemoteError) await messages.end({ type: "end" });
    else await messages.fail(wireError(error, session));
    return true;
  } catch (later) {
    if (later instanceof TransportError) return false;
    throw later;
  }
}

/** Answers about the log that a node can act on: told under their own names, with their facts. */
const TOLD: ReadonlySet<string> = new Set<GatewayErrorCode>([
  "DEVICE_REVOKED",
  "EVENT_DAMAGED",
  "RESUME_COMPACTED",
  "RESUME_FUTURE",
  "SUBSCRIPTION_EXISTS",
  "SUBSCRIPTION_INVALID",
  "SUBSCRIPTION_LIMIT",
  "SUBSCRIPTION_NOT_FOUND",
  "SUBSCRIPTION_TAKEN",
]);

/** What a node is told of an error. */
export function wireError(error: unknown, session: LiveSession): ErrorFacts {
  if (error instanceof ProtocolError) return error;
  if (error instanceof IdentityError) return { code: error.code, message: error.message };
  if (error instanceof GatewayError) {
    if (TOLD.has(error.code)) return { code: error.code, message: error.message, details: factsOf(error) };
    const code = error.code === "STORE_FULL" ? "STORE_FULL" : "STORE_UNAVAILABLE";
    return { code, message: "the gateway cannot store that now", retryAfterMs: RETRY_AFTER_MS };
  }
  session.context.logger.error({ device: session.deviceId, error }, "a stream failed");
  return { code: "INTERNAL", message: "the gateway failed" };
}

/** Offsets and counts are numbers on the wire. */
function factsOf({ metadata }: GatewayError): Record<string, unknown> {
  const facts = Object.entries(metadata).map(([name, text]) => [name, /^\d{1,15}$/u.test(text) ? Number(text) : text]);
  return Object.fromEntries(facts) as Record<string, unknown>;
}
