/** Everything that can be sent, as one type, so that what is not a message does not compile. */
import type { Static } from "typebox";
import type { errorMessage } from "./common.ts";
import type { PublishReply, SubscriptionMessage } from "./events.ts";
import type { PairToGateway, PairToNode } from "./pairing.ts";
import type { PublishMessage, SubscriberMessage } from "./parsers.ts";
import type { Request } from "./request.ts";
import type { Health, Renewed } from "./service.ts";
import type { GatewayControlMessage, NodeControlMessage } from "./session.ts";
import type { TaskFromNode, TaskToNode } from "./task.ts";

/** The last frame of a stream that failed. */
export type ErrorMessage = Static<typeof errorMessage>;

/** Any frame of any stream. */
export type WireMessage =
  | Request
  | NodeControlMessage
  | GatewayControlMessage
  | PublishMessage
  | PublishReply
  | SubscriberMessage
  | SubscriptionMessage
  | TaskToNode
  | TaskFromNode
  | PairToGateway
  | PairToNode
  | Renewed
  | Health
  | ErrorMessage;

/** What {@link errorFrameOf} reads of an error; `ProtocolError` and `RemoteError` have it. */
export interface ErrorFacts {
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** The error frame for `error`; its text is cut at what the schema allows. */
export function errorFrameOf(error: ErrorFacts): ErrorMessage {
  return {
    type: "error",
    code: error.code.slice(0, 64),
    message: error.message.slice(0, 512).toWellFormed(),
    ...(error.retryAfterMs !== undefined && { retryAfterMs: Math.max(0, Math.ceil(error.retryAfterMs)) }),
    ...(error.details !== undefined && Object.keys(error.details).length > 0 && { details: { ...error.details } }),
  };
}
