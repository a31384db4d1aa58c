import { RemoteError, TransportError } from "@quaymesh/protocol";
import { NodeError, type NodeErrorCode } from "../errors.ts";

/** The gateway's answers that asking again does not change. */
const FINAL: ReadonlyMap<string, NodeErrorCode> = new Map([
  ["RESUME_COMPACTED", "RESUME_COMPACTED"],
  ["RESUME_FUTURE", "RESUME_FUTURE"],
  ["LOG_CHANGED", "LOG_CHANGED"],
  ["SUBSCRIPTION_TAKEN", "SUBSCRIPTION_TAKEN"],
  ["SUBSCRIPTION_EXISTS", "SUBSCRIPTION_EXISTS"],
  ["SUBSCRIPTION_LIMIT", "SUBSCRIPTION_LIMIT"],
  ["SUBSCRIPTION_NOT_FOUND", "SUBSCRIPTION_NOT_FOUND"],
]);

/** What a new stream, on this session or the next, may well get past. */
export function isPassing(cause: unknown): boolean {
  if (cause instanceof TransportError) return true;
  if (cause instanceof NodeError) return cause.code === "SESSION_LOST";
  return cause instanceof RemoteError && (cause.code === "SLOW_CONSUMER" || cause.retryAfterMs !== undefined);
}

/** What a subscriber is told of a failure that is not passing. */
export function finalError(cause: unknown): unknown {
  if (!(cause instanceof RemoteError)) return cause;
  const details: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(cause.details)) {
    if (typeof value === "string" || typeof value === "number") details[name] = value;
  }
  return new NodeError(FINAL.get(cause.code) ?? "GATEWAY_REFUSED", `${cause.message} (${cause.code})`, {
    cause,
    details,
  });
}
