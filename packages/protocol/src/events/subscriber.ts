/**
 * The reader's side of `events.subscribe`: checks the order, keeps the cursor over reconnects, gives credit as events
 * are consumed, and acknowledges to a durable subscription. docs/wire.md, "Subscribing".
 */
import { WIRE_VERSION } from "../messages/common.ts";
import type {
  EventFilter,
  LoggedEvent,
  Subscribed,
  SubscribeRequest,
  SubscriptionMessage,
} from "../messages/events.ts";
import type { SubscriberMessage } from "../messages/parsers.ts";
import { stay, type Step } from "../session/step.ts";

/** What a subscriber wants. */
export interface SubscriberOptions {
  /** The last offset already seen; 0 for everything the log holds. Of a durable subscription: where it begins when it is made. */
  readonly after: number;
  /** The log that `after` belongs to. */
  readonly log?: string;
  readonly filter?: EventFilter;
  /** Begin no earlier than what came at this time, Unix milliseconds. */
  readonly since?: number;
  readonly durable?: { readonly name: string; readonly skipLost?: boolean };
  /** Events and data bytes that may be under way or unconsumed. */
  readonly windowEvents: number;
  readonly windowBytes: number;
}

/** 4096 events or 1 MiB unconsumed: with half of them used, a gateway still has room for a page under way and one that it reads meanwhile. */
export const SUBSCRIBER_WINDOW = { windowEvents: 4096, windowBytes: 1_048_576 } as const;

/** Where the stream stands. */
export type SubscriberLink =
  | { readonly kind: "down" }
  /** Requested; `subscribed` has not come yet. */
  | { readonly kind: "asking" }
  | {
      readonly kind: "up";
      /** The last offset on this stream: the next must be above it. */
      readonly last: number;
    };

/** A reader of the log. */
export interface Subscriber {
  readonly options: SubscriberOptions;
  /** The log the cursor belongs to, once known. */
  readonly log: string | undefined;
  /** Everything up to this offset was delivered, or does not match the filter. */
  readonly cursor: number;
  /** A gateway has said where it starts: from then on the cursor alone counts. */
  readonly started: boolean;
  /** The last event that was delivered; 0 before the first. */
  readonly delivered: number;
  /** Of a durable subscription: everything up to this offset is to be acknowledged. */
  readonly ackWanted: number;
  /** Credit the gateway still holds. */
  readonly creditEvents: number;
  readonly creditBytes: number;
  /** Delivered and not consumed yet. */
  readonly unconsumedEvents: number;
  readonly unconsumedBytes: number;
  readonly link: SubscriberLink;
}

/** What happens to a subscriber. */
export type SubscriberInput =
  /** A stream was opened. */
  | { readonly kind: "connected" }
  | { readonly kind: "message"; readonly message: SubscriptionMessage }
  /** The application is done with so much of what was delivered. */
  | { readonly kind: "consumed"; readonly events: number; readonly bytes: number }
  /** The durable subscription may forget everything up to `offset`. Kept over reconnects until the gateway has it. Where that is all that was delivered, what the filter hides behind it is acknowledged too, now and as it comes. */
  | { readonly kind: "acknowledge"; readonly offset: number }
  /** The stream or the connection is gone. */
  | { readonly kind: "lost" };

/** What the shell does for a subscriber. */
export type SubscriberEffect =
  | { readonly kind: "send"; readonly message: SubscribeRequest | SubscriberMessage }
  /** The gateway has begun. */
  | { readonly kind: "opened"; readonly subscribed: Subscribed }
  /** New events, in order, each once. `bytes` is what {@link SubscriberInput} `consumed` gives back for all of them. */
  | { readonly kind: "deliver"; readonly events: readonly LoggedEvent[]; readonly bytes: number }
  /** Nothing is left up to the cursor. */
  | { readonly kind: "caught-up"; readonly offset: number }
  /** The gateway keeps this cursor. */
  | { readonly kind: "acked"; readonly offset: number }
  /** The gateway is too old for what was asked, and would give something else: reset the stream. */
  | { readonly kind: "unsupported"; readonly feature: string }
  /** The gateway broke the protocol: reset the stream. */
  | { readonly kind: "fail"; readonly what: string };

type SubscriberStep = Step<Subscriber, SubscriberEffect>;

/** A subscriber without a stream yet. */
export function createSubscriber(options: SubscriberOptions): Subscriber {
  return {
    options,
    log: options.log,
    cursor: options.after,
    started: false,
    delivered: 0,
    ackWanted: 0,
    creditEvents: 0,
    creditBytes: 0,
    unconsumedEvents: 0,
    unconsumedBytes: 0,
    link: { kind: "down" },
  };
}

/** Advance a subscriber. */
export function stepSubscriber(state: Subscriber, input: SubscriberInput): SubscriberStep {
  switch (input.kind) {
    case "connected":
      return onConnected(state);
    case "message":
      return onMessage(state, input.message);
    case "consumed":
      return onConsumed(state, input.events, input.bytes);
    case "acknowledge":
      return onAcknowledge(state, input.offset);
    case "lost":
      return stay(down(state));
    default:
      return input satisfies never;
  }
}

function onConnected(state: Subscriber): SubscriberStep {
  const { filter, since, durable, windowEvents, windowBytes } = state.options;
  // What was delivered and is not consumed still takes room.
  const creditEvents = Math.max(0, windowEvents - state.unconsumedEvents);
  const creditBytes = Math.max(0, windowBytes - state.unconsumedBytes);
  const message: SubscribeRequest = {
    v: WIRE_VERSION,
    method: "events.subscribe",
    after: state.cursor,
    creditEvents,
    creditBytes,
    ...(state.log !== undefined && { log: state.log }),
    ...(filter !== undefined && { filter }),
    ...(since !== undefined && !state.started && { since }),
    ...(durable !== undefined && { durable: { ...durable, ...(state.started && { seen: state.cursor }) } }),
  };
  return {
    state: { ...state, creditEvents, creditBytes, link: { kind: "asking" } },
    effects: [{ kind: "send", message }],
  };
}

function onMessage(state: Subscriber, message: SubscriptionMessage): SubscriberStep {
  const { link } = state;
  if (link.kind === "down") return stay(state);
  if (message.type === "end") return stay(down(state));
  if (message.type === "subscribed") return onSubscribed(state, message);
  if (link.kind === "asking") return fail(state, `${message.type} before subscribed`);
  switch (message.type) {
    case "events":
      return onEvents(state, link.last, message.events);
    case "caught-up":
      if (message.offset < link.last) return fail(state, "caught up behind what was sent");
      return onCaughtUp(state, message.offset);
    case "acked":
      return { state, effects: [{ kind: "acked", offset: message.offset }] };
    default:
      return message satisfies never;
  }
}

function onCaughtUp(state: Subscriber, offset: number): SubscriberStep {
  const next: Subscriber = { ...state, cursor: offset, link: { kind: "up", last: offset } };
  const caughtUp: SubscriberEffect = { kind: "caught-up", offset };
  if (state.options.durable === undefined || state.ackWanted < state.delivered)
    return { state: next, effects: [caughtUp] };
  // Nothing waits for its reader: what lies between is what the filter hides, and needs no one to be done with it. Kept back, it would make a reader lapse that has seen everything.
  const acked = onAcknowledge(next, offset);
  return { state: acked.state, effects: [caughtUp, ...acked.effects] };
}

function onSubscribed(state: Subscriber, subscribed: Subscribed): SubscriberStep {
  if (state.link.kind === "up") return fail(state, "a second subscribed");
  if (state.log !== undefined && state.log !== subscribed.log) return fail(state, "another log than the one asked for");
  const missing = featuresOf(state).find((feature) => !(subscribed.features ?? []).includes(feature));
  // Older gateways ignore what they do not know: they would give more than was asked for, or keep no cursor.
  if (missing !== undefined) return { state: down(state), effects: [{ kind: "unsupported", feature: missing }] };
  const from = subscribed.from ?? state.cursor;
  if (state.started && from < state.cursor) return fail(state, "begun behind what was sent");
  const up: Subscriber = {
    ...state,
    log: subscribed.log,
    cursor: from,
    started: true,
    link: { kind: "up", last: from },
  };
  const opened: SubscriberEffect = { kind: "opened", subscribed };
  const acked = subscribed.durable?.acked ?? Infinity;
  // What was acknowledged on the stream before may not have arrived.
  if (state.ackWanted <= acked) return { state: up, effects: [opened] };
  return { state: up, effects: [opened, { kind: "send", message: { type: "ack", offset: state.ackWanted } }] };
}

/** What an older gateway would leave out of account. */
function featuresOf({ options, started }: Subscriber): readonly string[] {
  const { durable, since, filter } = options;
  return [
    ...(durable === undefined ? [] : ["durable"]),
    ...(since === undefined || started ? [] : ["since"]),
    ...((filter?.labels ?? []).length === 0 ? [] : ["labels"]),
  ];
}

function onEvents(state: Subscriber, after: number, events: readonly LoggedEvent[]): SubscriberStep {
  let last = after;
  let bytes = 0;
  for (const event of events) {
    if (event.offset <= last) return fail(state, "offsets that do not grow");
    last = event.offset;
    bytes += event.data.length;
  }
  if (events.length > state.creditEvents) return fail(state, "more events than there was credit for");
  const next: Subscriber = {
    ...state,
    cursor: last,
    delivered: last,
    creditEvents: state.creditEvents - events.length,
    creditBytes: state.creditBytes - bytes,
    unconsumedEvents: state.unconsumedEvents + events.length,
    unconsumedBytes: state.unconsumedBytes + bytes,
    link: { kind: "up", last },
  };
  return { state: next, effects: [{ kind: "deliver", events, bytes }] };
}

function onConsumed(state: Subscriber, events: number, bytes: number): SubscriberStep {
  const consumed: Subscriber = {
    ...state,
    unconsumedEvents: Math.max(0, state.unconsumedEvents - events),
    unconsumedBytes: Math.max(0, state.unconsumedBytes - bytes),
  };
  if (state.link.kind === "down") return stay(consumed);
  const { windowEvents, windowBytes } = state.options;
  const moreEvents = windowEvents - consumed.unconsumedEvents - consumed.creditEvents;
  const moreBytes = windowBytes - consumed.unconsumedBytes - consumed.creditBytes;
  // Half a window at a time: a credit frame for each event would double the frames.
  if (moreEvents * 2 < windowEvents && moreBytes * 2 < windowBytes) return stay(consumed);
  const message: SubscriberMessage = { type: "credit", events: Math.max(0, moreEvents), bytes: Math.max(0, moreBytes) };
  return {
    state: {
      ...consumed,
      creditEvents: consumed.creditEvents + message.events,
      creditBytes: consumed.creditBytes + message.bytes,
    },
    effects: [{ kind: "send", message }],
  };
}

function onAcknowledge(state: Subscriber, offset: number): SubscriberStep {
  if (offset <= state.ackWanted || offset > state.cursor) return stay(state);
  // With the last event goes what the filter hides behind it.
  const ackWanted = offset < state.delivered ? offset : state.cursor;
  const next: Subscriber = { ...state, ackWanted };
  if (state.link.kind !== "up") return stay(next);
  return { state: next, effects: [{ kind: "send", message: { type: "ack", offset: ackWanted } }] };
}

function down(state: Subscriber): Subscriber {
  return { ...state, link: { kind: "down" }, creditEvents: 0, creditBytes: 0 };
}

function fail(state: Subscriber, what: string): SubscriberStep {
  return { state: down(state), effects: [{ kind: "fail", what }] };
}
