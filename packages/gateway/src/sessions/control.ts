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

/** The two views of one control stream. */
export interface ControlMessages {
  readonly messages: MessageStream;
  readonly timed: TimedStream;
}

/** Serve a stream that began with a hello until the connection is over. @throws {ProtocolError} `STATE_INVALID` at once for a second hello */
export function serveControl(hello: Hello, control: ControlMessages, session: LiveSession): Promise<void> {
  const { clock } = session.context;
  const isSecond = session.state.kind !== "opening";
  if (!isSecond) session.attach(control.messages);
  session.feed({ kind: "hello", hello, now: clock.monotonicMs() });
  // The session ends with it; this stream is told too, because it may be the one its node listens to.
  if (isSecond) throw new ProtocolError("STATE_INVALID", "a second hello");
  return readMessages(control, session);
}

async function readMessages({ messages, timed }: ControlMessages, session: LiveSession): Promise<void> {
  const { clock } = session.context;
  let end: unknown;
  try {
    for (let batch = await messages.readBatch(); batch !== null; batch = await messages.readBatch()) {
      for (const body of batch) {
        const message = parseNodeControl(body);
        if (message === undefined) continue;
        session.feed({ kind: "message", message, now: clock.monotonicMs() });
        await session.roomForMore();
      }
    }
  } catch (error) {
    end = await endOf(error, messages, session);
  }
  session.controlEnded();
  // A session that is over closes its connection itself, once its last message is read.
  if (!isOver(session)) await endSession(end, timed, session);
  await session.connection.closed;
}

/** @returns what the stream threw, unless the peer broke the protocol, which it is told */
async function endOf(error: unknown, messages: MessageStream, session: LiveSession): Promise<unknown> {
  if (!(error instanceof ProtocolError)) return error;
  if (!isOver(session)) await session.refuse(error, messages);
  return undefined;
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
