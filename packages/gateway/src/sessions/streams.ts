/** Streams a node opens: which method, whether it may, and what becomes of a failure. A stream fails alone. */
import {
  CLOSE_CODES,
  MessageStream,
  NODE_METHODS,
  parseNodeControl,
  parseRequest,
  ProtocolError,
  type ByteStream,
  type Request,
} from "@quaymesh/protocol";
import { serveIngest } from "../events/ingest-stream.ts";
import { serveSubscription } from "../events/subscription-stream.ts";
import type { LiveSession } from "./live-session.ts";
import { serveHealth, serveRenewal } from "./short-streams.ts";
import { failStream } from "./stream-failure.ts";
import { TimedStream } from "./timed-stream.ts";

type NodeRequest = Extract<Request, { readonly method: (typeof NODE_METHODS)[number] }>;

/** Serve one stream to its end. Rejects only for what is our own fault. */
export async function serveStream(stream: ByteStream, session: LiveSession): Promise<void> {
  await using timed = new TimedStream(stream, session.context.clock);
  const messages = new MessageStream(timed);
  try {
    const body = await messages.read();
    if (body === null) return;
    await route(parseRequest(body, NODE_METHODS), messages, session);
  } catch (error) {
    await failStream(error, messages, session);
  }
}

async function route(request: NodeRequest, messages: MessageStream, session: LiveSession): Promise<void> {
  if (request.method === "session.open") return await serveControl(request, messages, session);
  if (session.open === undefined) throw new ProtocolError("STATE_INVALID", `${request.method} before welcome`);
  switch (request.method) {
    case "events.publish":
      return await serveIngest(request, messages, session);
    case "events.subscribe":
      return await serveSubscription(request, messages, session);
    case "certificate.renew":
      return await serveRenewal(request, messages, session);
    case "health":
      return await serveHealth(messages, session);
    default:
      return request satisfies never;
  }
}

/** The control stream: its end is the session's end. */
async function serveControl(
  hello: Extract<NodeRequest, { method: "session.open" }>,
  messages: MessageStream,
  session: LiveSession,
): Promise<void> {
  const { clock } = session.context;
  session.attach(messages);
  session.feed({ kind: "hello", hello, now: clock.monotonicMs() });
  try {
    for await (const message of messages.messages(parseNodeControl)) {
      session.feed({ kind: "message", message, now: clock.monotonicMs() });
    }
    session.connection.close(CLOSE_CODES.ok, "the session ended");
  } catch (error) {
    if (error instanceof ProtocolError) {
      await messages.fail(error);
      session.connection.close(CLOSE_CODES.protocol, error.code);
    }
    session.connection.close(CLOSE_CODES.ok, "the control stream was reset");
    throw error;
  } finally {
    await session.connection.closed;
  }
}
