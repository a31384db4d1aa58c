/** The control stream: `session.open`. Its end is the session's end. docs/wire.md, "Session". */
import {
  CLOSE_CODES,
  parseNodeControl,
  ProtocolError,
  RemoteError,
  TransportError,
  type Hello,
  type MessageStream,
} from "@quaymesh/protocol";
import type { LiveSession } from "./live-session.ts";
import type { TimedStream } from "./timed-stream.ts";

/** Serve a stream that began with a hello until the connection is over. */
export async function serveControl(
  hello: Hello,
  { messages, timed }: { readonly messages: MessageStream; readonly timed: TimedStream },
  session: LiveSession,
): Promise<void> {
  const { clock } = session.context;
  const isSecond = session.state.kind !== "opening";
  if (!isSecond) session.attach(messages);
  session.feed({ kind: "hello", hello, now: clock.monotonicMs() });
  // The session ends with it; this stream is told too, because it may be the one its node listens to.
  if (isSecond) throw new ProtocolError("STATE_INVALID", "a second hello");
  const end = await readMessages(messages, session);
  session.controlEnded();
  // A session that is over closes its connection itself, once its last message is read.
  if (!isOver(session)) await endSession(end, timed, session);
  await session.connection.closed;
}

/** @returns what the stream threw, if it did not just end */
async function readMessages(messages: MessageStream, session: LiveSession): Promise<unknown> {
  const { clock } = session.context;
  try {
    for await (const message of messages.messages(parseNodeControl)) {
      session.feed({ kind: "message", message, now: clock.monotonicMs() });
      await session.roomForMore();
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof ProtocolError)) return error;
    if (isOver(session)) return undefined;
    await session.refuse(error, messages);
    return undefined;
  }
}

async function endSession(end: unknown, timed: TimedStream, { connection }: LiveSession): Promise<void> {
  if (timed.isLate) connection.close(CLOSE_CODES.timeout, "a frame did not end in time");
  else connection.close(CLOSE_CODES.ok, end === undefined ? "the session ended" : "the control stream was reset");
  await connection.closed;
  // Our own fault: the stream's owner hears of it.
  if (end !== undefined && !(end instanceof TransportError || end instanceof RemoteError)) throw end;
}

function isOver({ state }: LiveSession): boolean {
  return state.kind === "closed";
}
