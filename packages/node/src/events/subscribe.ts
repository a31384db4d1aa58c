import {
  decodeValue,
  parseCursor,
  ProtocolError,
  SUBSCRIBER_WINDOW,
  type EventCursor,
  type EventFilter,
  type LoggedEvent,
} from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import type { Link } from "../link/link.ts";
import { SubscriptionReader } from "./subscription-reader.ts";
import { finalError, isPassing } from "./subscription-errors.ts";

/** An event as a subscriber gets it. */
export interface NodeEvent {
  /** Give it as `after` to go on behind this event. `formatCursor` makes text of it. */
  readonly cursor: EventCursor;
  /** The device that recorded it. */
  readonly device: string;
  /** Its sequence in that device's outbox. */
  readonly seq: number;
  readonly kind: string;
  /** That device's clock, Unix milliseconds. */
  readonly time: number;
  /** The gateway's clock at commit, Unix milliseconds. */
  readonly received: number;
  /** The body as it was recorded: one CBOR value. */
  readonly body: Uint8Array;
  /** The body decoded. @throws {ProtocolError} `CBOR_INVALID` where its device wrote something else */
  value(): unknown;
}

/** Options of `Node.subscribe`. */
export interface SubscribeOptions {
  /** Where to go on, as a cursor or its text; default the beginning of what the log holds. */
  readonly after?: EventCursor | string;
  /** Begin with the first event the gateway received then or later, Unix milliseconds or a `Date`. */
  readonly since?: number | { getTime(): number };
  /** Only these kinds (exact, or a prefix that ends in `*`), devices, and devices with one of these labels. */
  readonly filter?: EventFilter;
  /**
   * Keep the cursor on the gateway under this name: the next to subscribe under it goes on behind what was acknowledged, from this process or another of this device, and takes it
   * from whoever holds it. `after` and `since` say where it begins when it is new. An event is acknowledged when the loop comes back for the next, so one whose handling did not
   * come to its end is given again.
   */
  readonly durable?: string;
  /** With `durable`: go on with what is left where retention has removed events that were not acknowledged, instead of failing with `RESUME_COMPACTED`. */
  readonly skipLost?: boolean;
  /** With `durable`: acknowledge only what {@link NodeSubscription.acknowledge} is called with, and what the filter hides behind it. Default false. */
  readonly manualAck?: boolean;
  readonly signal?: AbortSignal;
}

/** Events of a subscription; to be iterated once. */
export interface NodeSubscription extends AsyncIterable<NodeEvent> {
  /** Of a durable subscription: this event and all before it are done with. Sent in the background; kept over reconnects. */
  acknowledge(event: { readonly cursor: EventCursor }): void;
  /**
   * Of a durable subscription: remove it from the gateway when the loop is left.
   */
  forget(): void;
}

/**
 * Events of the gateway's log, in order, over as many sessions as it takes; each once, but for a durable subscription after a crash. Reads no further ahead than the consumer:
 * leaving the loop ends the stream.
 * @throws {NodeError} `RESUME_COMPACTED`, `RESUME_FUTURE`, `LOG_CHANGED`, `SUBSCRIPTION_TAKEN`, `GATEWAY_UNSUPPORTED`, `GATEWAY_PROTOCOL`, `GATEWAY_REFUSED`, `OPTIONS_INVALID`;
 * rethrows `signal.reason`
 */
export function subscribe(link: Link, options: SubscribeOptions): NodeSubscription {
  const after = cursorOf(options.after);
  const { filter, since, durable, skipLost = false, manualAck = false } = options;
  const reader = new SubscriptionReader({
    ...SUBSCRIBER_WINDOW,
    after: after?.offset ?? 0,
    ...(after !== undefined && { log: after.log }),
    ...(filter !== undefined && { filter }),
    ...(since !== undefined && { since: typeof since === "number" ? since : since.getTime() }),
    ...(durable !== undefined && { durable: { name: durable, ...(skipLost && { skipLost }) } }),
  });
  return {
    acknowledge: ({ cursor }) => reader.acknowledge(cursor.offset),
    forget: () => reader.forget(),
    [Symbol.asyncIterator]: () =>
      events(link, reader, { signal: options.signal, acks: durable !== undefined && !manualAck }),
  };
}

interface Reading {
  readonly signal: AbortSignal | undefined;
  /** Acknowledge each event when the next is asked for. */
  readonly acks: boolean;
}

async function* events(
  link: Link,
  reader: SubscriptionReader,
  { signal, acks }: Reading,
): AsyncGenerator<NodeEvent, void, undefined> {
  for (;;) {
    const session = await link.online(signal);
    try {
      for await (const batch of reader.read(session, signal)) {
        for (const event of batch) {
          yield nodeEvent(event, reader.log);
          // Come back for the next: this one is done with.
          if (acks) reader.acknowledge(event.offset);
        }
      }
    } catch (cause) {
      signal?.throwIfAborted();
      if (!isPassing(cause)) throw finalError(cause);
    }
    // The stream is over but the session is not: the next one comes from a new session or, after `SLOW_CONSUMER`, from this.
    if (!session.signal.aborted) await link.settle(signal);
  }
}

function cursorOf(after: EventCursor | string | undefined): EventCursor | undefined {
  if (typeof after !== "string") return after;
  try {
    return parseCursor(after);
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new NodeError("OPTIONS_INVALID", cause.message, { cause });
  }
}

function nodeEvent(event: LoggedEvent, log: string): NodeEvent {
  const { offset, device, seq, kind, time, received, data } = event;
  return { cursor: { log, offset }, device, seq, kind, time, received, body: data, value: () => decodeValue(data) };
}
