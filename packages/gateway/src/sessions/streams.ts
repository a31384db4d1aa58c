/** Streams a node opens: which method, whether it may, and what becomes of a failure. A stream fails alone. */
import {
  CLOSE_CODES,
  MessageStream,
  methodOf,
  NODE_METHODS,
  parseRequest,
  ProtocolError,
  type ByteStream,
  type Request,
} from "@quaymesh/protocol";
import { serveIngest } from "../events/ingest-stream.ts";
import { serveSubscription } from "../events/subscription-stream.ts";
import { serveControl, type ControlMessages } from "./control.ts";
import type { LiveSession } from "./live-session.ts";
import { serveHealth, serveRenewal } from "./short-streams.ts";
import { failStream } from "./stream-failure.ts";
import { TimedStream } from "./timed-stream.ts";

type NodeRequest = Extract<Request, { readonly method: (typeof NODE_METHODS)[number] }>;

/** What the first frame of a stream may be. */
type Opening =
  | { readonly kind: "request"; readonly request: NodeRequest }
  /** The stream fails. */
  | { readonly kind: "refused"; readonly error: ProtocolError }
  /** It was to be the hello: the connection goes with it. */
  | { readonly kind: "hello-refused"; readonly error: ProtocolError };

/** Serve one stream to its end. Rejects only for what is our own fault. */
export async function serveStream(stream: ByteStream, session: LiveSession): Promise<void> {
  await using timed = new TimedStream(stream, session.context.clock, (what) => session.late(what));
  const messages = new MessageStream(timed);
  try {
    // Chained, not awaited: the request, which is the hello of a session, is not kept for as long as its stream is served.
    await readOpening(messages, session).then((opening) => answer(opening, { messages, timed }, session));
  } catch (error) {
    await failStream(error, messages, session);
  }
}

/** @throws what the stream fails with, at once or later */
function answer(
  opening: Opening | undefined,
  streams: ControlMessages,
  session: LiveSession,
): Promise<void> | undefined {
  // Whoever is late with its hello has had its time.
  const isLate = streams.timed.isLate && session.state.kind === "opening";
  if (isLate) session.connection.close(CLOSE_CODES.timeout, "no hello came");
  if (opening === undefined) return undefined;
  switch (opening.kind) {
    case "request":
      return route(opening.request, streams, session);
    case "refused":
      throw opening.error;
    case "hello-refused":
      return refuseHello(opening.error, streams.messages, session);
    default:
      return opening satisfies never;
  }
}

/** Read the first frame; `undefined` where there is none, because the stream ended or is gone. */
async function readOpening(messages: MessageStream, session: LiveSession): Promise<Opening | undefined> {
  let body: Uint8Array | null = null;
  try {
    body = await messages.read();
    if (body !== null) session.heard();
    return body === null ? undefined : { kind: "request", request: parseRequest(body, NODE_METHODS) };
  } catch (error) {
    if (!(error instanceof ProtocolError)) {
      await failStream(error, messages, session);
      return undefined;
    }
    const method = body === null ? undefined : methodOf(body);
    // What cannot be read, where a hello is due, is taken for one.
    if (session.state.kind === "opening" && (method === undefined || method === "session.open")) {
      return { kind: "hello-refused", error };
    }
    // Whether there is such a method is nobody's business before welcome.
    const isEarly = session.open === undefined && method !== undefined && method !== "session.open";
    return { kind: "refused", error: isEarly && error.code !== "VERSION_UNSUPPORTED" ? tooEarly(method) : error };
  }
}

async function refuseHello(error: ProtocolError, messages: MessageStream, session: LiveSession): Promise<void> {
  session.attach(messages);
  await session.refuse(error, messages);
}

function route(request: NodeRequest, streams: ControlMessages, session: LiveSession): Promise<void> {
  const { messages } = streams;
  if (request.method === "session.open") return serveControl(request, streams, session);
  // Whoever is enrolled may ask whether we are well and what time it is: it takes nothing over, as a hello would.
  if (session.open === undefined && request.method !== "health") throw tooEarly(request.method);
  switch (request.method) {
    case "events.publish":
      return serveIngest(request, messages, session);
    case "events.subscribe":
      return serveSubscription(request, messages, session);
    case "certificate.renew":
      return serveRenewal(request, messages, session);
    case "health":
      return serveHealth(messages, session);
    default:
      return request satisfies never;
  }
}

function tooEarly(method: string): ProtocolError {
  return new ProtocolError("STATE_INVALID", `${method.slice(0, 64)} before welcome`);
}
