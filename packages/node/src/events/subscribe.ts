import {
  createSubscriber,
  decodeValue,
  MessageStream,
  parseSubscriptionMessage,
  RemoteError,
  stepSubscriber,
  SUBSCRIBER_WINDOW,
  TransportError,
  type EventFilter,
  type LoggedEvent,
  type Subscriber,
  type SubscriberEffect,
  type SubscriberInput,
} from "@quaymesh/protocol";
import { NodeError, type NodeErrorCode } from "../errors.ts";
import type { Link, OnlineSession } from "../link/link.ts";

/** A place in a log. It only means something together with the log's name. */
export interface EventCursor {
  readonly log: string;
  /** The offset of the last event seen; 0 is before the first. */
  readonly offset: number;
}

/** An event as a subscriber gets it. */
export interface NodeEvent {
  /** Give it as `after` to go on behind this event. */
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
  /** Where to go on; default the beginning of what the log holds. */
  readonly after?: EventCursor;
  /** Only these kinds (exact, or a prefix that ends in `*`) and devices. */
  readonly filter?: EventFilter;
  readonly signal?: AbortSignal;
}

/** The gateway's answers that asking again does not change. */
const FINAL: ReadonlyMap<string, NodeErrorCode> = new Map([
  ["RESUME_COMPACTED", "RESUME_COMPACTED"],
  ["RESUME_FUTURE", "RESUME_FUTURE"],
  ["LOG_CHANGED", "LOG_CHANGED"],
]);

/**
 * Events of the gateway's log, each once and in order, over as many sessions as it takes. Reads no further ahead than the consumer: leaving the loop ends the stream.
 * @throws {NodeError} `RESUME_COMPACTED`, `RESUME_FUTURE`, `LOG_CHANGED`, `GATEWAY_PROTOCOL`, `GATEWAY_REFUSED`; rethrows `signal.reason`
 */
export async function* subscribe(link: Link, options: SubscribeOptions): AsyncGenerator<NodeEvent, void, undefined> {
  const { after, filter, signal } = options;
  const reader = new SubscriptionReader({
    ...SUBSCRIBER_WINDOW,
    after: after?.offset ?? 0,
    ...(after !== undefined && { log: after.log }),
    ...(filter !== undefined && { filter }),
  });
  for (;;) {
    const session = await link.online(signal);
    try {
      yield* reader.read(session, signal);
    } catch (cause) {
      signal?.throwIfAborted();
      if (!isPassing(cause)) throw finalError(cause);
    }
    // The stream is over but the session is not: the next one comes from a new session or, after `SLOW_CONSUMER`, from this.
    if (!session.signal.aborted) await link.settle(signal);
  }
}

class SubscriptionReader {
  #state: Subscriber;

  constructor(options: Parameters<typeof createSubscriber>[0]) {
    this.#state = createSubscriber(options);
  }

  /** One stream's worth of events. */
  async *read(session: OnlineSession, signal: AbortSignal | undefined): AsyncGenerator<NodeEvent, void, undefined> {
    const both = signal === undefined ? session.signal : AbortSignal.any([session.signal, signal]);
    const stream = new MessageStream(await session.connection.openStream({ signal: both }));
    const onAbort = (): void => stream.reset(0);
    both.addEventListener("abort", onAbort, { once: true });
    try {
      await this.#perform({ kind: "connected" }, stream);
      for await (const message of stream.messages(parseSubscriptionMessage)) {
        const delivered = await this.#perform({ kind: "message", message }, stream);
        for (const effect of delivered) {
          for (const event of effect.events) yield this.#eventOf(event);
          await this.#perform({ kind: "consumed", events: effect.events.length, bytes: effect.bytes }, stream);
        }
      }
    } finally {
      both.removeEventListener("abort", onAbort);
      stream.reset(0);
      this.#state = stepSubscriber(this.#state, { kind: "lost" }).state;
    }
  }

  async #perform(
    input: SubscriberInput,
    stream: MessageStream,
  ): Promise<Extract<SubscriberEffect, { kind: "deliver" }>[]> {
    const step = stepSubscriber(this.#state, input);
    this.#state = step.state;
    const delivered: Extract<SubscriberEffect, { kind: "deliver" }>[] = [];
    for (const effect of step.effects) {
      switch (effect.kind) {
        case "send":
          await stream.send(effect.message);
          break;
        case "deliver":
          delivered.push(effect);
          break;
        case "caught-up":
          break;
        case "fail":
          throw new NodeError("GATEWAY_PROTOCOL", `the gateway broke the protocol of subscribing: ${effect.what}`);
        default:
          effect satisfies never;
      }
    }
    return delivered;
  }

  #eventOf(event: LoggedEvent): NodeEvent {
    const { offset, device, seq, kind, time, received, data } = event;
    const log = this.#state.log ?? "";
    return {
      cursor: { log, offset },
      device,
      seq,
      kind,
      time,
      received,
      body: data,
      value: () => decodeValue(data),
    };
  }
}

/** What a new stream, on this session or the next, may well get past. */
function isPassing(cause: unknown): boolean {
  if (cause instanceof TransportError) return true;
  if (cause instanceof NodeError) return cause.code === "SESSION_LOST";
  return cause instanceof RemoteError && (cause.code === "SLOW_CONSUMER" || cause.retryAfterMs !== undefined);
}

function finalError(cause: unknown): unknown {
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
