/**
 * A log, a subscribe stream and a reader, with everything that can go wrong between them, for property tests of the two
 * machines.
 */
import {
  createSubscriber,
  openSubscription,
  stepSubscriber,
  stepSubscription,
  type LoggedEvent,
  type Subscriber,
  type SubscriberEffect,
  type SubscriberInput,
  type SubscriberMessage,
  type Subscription,
  type SubscriptionEffect,
  type SubscriptionInput,
  type SubscriptionMessage,
  type SubscribeRequest,
} from "@quaymesh/protocol";

/** What may happen next. */
export const READER_MOVES = [
  "append",
  "append",
  "read",
  "read",
  "arrive",
  "arrive",
  "credit",
  "credit",
  "consume",
  "consume",
  "cut",
  "connect",
  "connect",
] as const;

/** One of {@link READER_MOVES}. */
export type ReaderMove = (typeof READER_MOVES)[number];

type ToGateway = SubscribeRequest | SubscriberMessage;
type Read = Extract<SubscriptionEffect, { kind: "read" }>;

const NO_BYTES = new Uint8Array(16);

/** An event at `offset` with `size` bytes of data. Every third is of the kind a filter leaves out. */
export function loggedEvent(offset: number, size: number): LoggedEvent {
  const kind = offset % 3 === 0 ? "noise" : "news";
  const data = new Uint8Array(size);
  return {
    offset,
    device: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    outboxEpoch: NO_BYTES,
    seq: offset,
    kind,
    time: 0,
    received: 0,
    data,
  };
}

/** The world. The reader wants only `news`. */
export class SubscribeWorld {
  readonly log: LoggedEvent[] = [];
  readonly delivered: number[] = [];
  readonly problems: string[] = [];
  caughtUpAt = 0;
  refused: string | undefined;
  mostUnconsumed = 0;
  #now = 0;
  #reader: Subscriber;
  #subscription: Subscription | undefined;
  #connected = false;
  #toGateway: ToGateway[] = [];
  #toReader: SubscriptionMessage[] = [];
  #read: Read | undefined;
  #unconsumed: LoggedEvent[] = [];

  constructor(window: { readonly events: number; readonly bytes: number }) {
    this.#reader = createSubscriber({ after: 0, windowEvents: window.events, windowBytes: window.bytes });
  }

  move(move: ReaderMove, size: number): void {
    switch (move) {
      case "append":
        for (let count = 0; count < size; count++) this.log.push(loggedEvent(this.log.length + 1, size * 7));
        return this.#gateway({ kind: "appended", latest: this.log.length, now: this.#now });
      case "read":
        return this.#performRead(size);
      case "arrive":
        return this.#arrive();
      case "credit":
        return this.#serve();
      case "consume":
        return this.#consume(size);
      case "cut":
        this.#connected = false;
        this.#subscription = undefined;
        this.#toGateway = [];
        this.#toReader = [];
        this.#read = undefined;
        return this.#step({ kind: "lost" });
      case "connect":
        if (this.#connected) return undefined;
        this.#connected = true;
        return this.#step({ kind: "connected" });
      default:
        return move satisfies never;
    }
  }

  /** Let everything finish: connected, everything consumed. */
  settle(): void {
    this.move("connect", 0);
    for (let round = 0; round < 100_000 && this.caughtUpAt < this.log.length && this.problems.length === 0; round++) {
      for (const move of ["credit", "read", "arrive", "consume"] as const) this.move(move, 1000);
    }
  }

  #step(input: SubscriberInput): void {
    const step = stepSubscriber(this.#reader, input);
    this.#reader = step.state;
    this.mostUnconsumed = Math.max(this.mostUnconsumed, step.state.unconsumedEvents);
    for (const effect of step.effects) this.#perform(effect);
  }

  #perform(effect: SubscriberEffect): void {
    switch (effect.kind) {
      case "send":
        this.#toGateway.push(effect.message);
        return;
      case "deliver":
        this.delivered.push(...effect.events.map(({ offset }) => offset));
        this.#unconsumed.push(...effect.events);
        return;
      case "caught-up":
        this.caughtUpAt = effect.offset;
        return;
      case "opened":
      case "acked":
        return;
      case "unsupported":
        this.problems.push(`${effect.feature} is not supported`);
        return;
      case "fail":
        this.problems.push(effect.what);
        return;
      default:
        effect satisfies never;
    }
  }

  #arrive(): void {
    const message = this.#toReader.shift();
    if (message !== undefined) this.#step({ kind: "message", message });
  }

  #serve(): void {
    const message = this.#toGateway.shift();
    if (message === undefined) return;
    if ("method" in message) {
      const extent = { log: "log-1", earliest: 1, latest: this.log.length };
      const step = openSubscription(message, extent, this.#now);
      this.#subscription = step.state;
      for (const effect of step.effects) this.#performGateway(effect);
    } else if (message.type === "credit") {
      this.#gateway({ kind: "credit", events: message.events, bytes: message.bytes, now: this.#now });
    }
  }

  #gateway(input: SubscriptionInput): void {
    if (this.#subscription === undefined) return;
    const step = stepSubscription(this.#subscription, input);
    this.#subscription = step.state;
    for (const effect of step.effects) this.#performGateway(effect);
  }

  #performGateway(effect: SubscriptionEffect): void {
    switch (effect.kind) {
      case "send":
        this.#toReader.push(effect.message);
        return;
      case "read":
        if (this.#read !== undefined) this.problems.push("two reads at once");
        this.#read = effect;
        return;
      case "caught-up":
        this.#toReader.push({ type: "caught-up", offset: effect.offset });
        return;
      case "schedule":
        return;
      case "fail":
        this.refused = effect.error.code;
        return;
      default:
        effect satisfies never;
    }
  }

  /** Read as the effect says; a store may also give fewer, so `size` rows at most are looked at. */
  #performRead(size: number): void {
    const read = this.#read;
    if (read === undefined) return;
    this.#read = undefined;
    const events: LoggedEvent[] = [];
    let bytes = 0;
    let through = read.after;
    for (const event of this.log.slice(read.after, Math.min(read.through, read.after + size))) {
      const wanted = event.kind === "news";
      if (
        wanted &&
        (events.length === read.maxEvents || (events.length > 0 && bytes + event.data.length > read.maxBytes))
      )
        break;
      through = event.offset;
      if (!wanted) continue;
      events.push(event);
      bytes += event.data.length;
    }
    if (events.length > 0) this.#toReader.push({ type: "events", events });
    this.#gateway({ kind: "sent", events: events.length, bytes, through, now: this.#now });
  }

  #consume(size: number): void {
    const done = this.#unconsumed.splice(0, size);
    if (done.length === 0) return;
    const bytes = done.reduce((sum, { data }) => sum + data.length, 0);
    this.#step({ kind: "consumed", events: done.length, bytes });
  }
}
