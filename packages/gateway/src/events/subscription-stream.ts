/** `events.subscribe` on a gateway: the protocol's subscription machine says what to read, the log says what there is. */
import {
  openSubscription,
  parseSubscriberMessage,
  stepSubscription,
  type LoggedEvent,
  type MessageStream,
  type SubscribeRequest,
  type Subscription,
  type SubscriptionEffect,
  type SubscriptionInput,
  type SubscriptionMessage,
} from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import type { LiveSession } from "../sessions/live-session.ts";
import { OwnedTasks } from "../sessions/owned.ts";
import { awaitPeerEnd } from "../sessions/peer-end.ts";
import type { EventPage, LogFilter, ReadEvents } from "../store/port-events.ts";
import type { EventRow } from "../store/rows.ts";

/** A device with this label reads the events of all; every other reads its own. docs/wire.md, "Subscribing". */
const READER_LABEL = "events-reader";
/** No device has this id. */
const NO_DEVICE = "";

/** Serve one subscription to its end. */
export async function serveSubscription(
  request: SubscribeRequest,
  messages: MessageStream,
  session: LiveSession,
): Promise<void> {
  const { store, log, clock } = session.context;
  const filter = allowedFilter(request, session);
  const extent = { log: store.meta.logId, ...(await store.events.bounds()) };
  const stream = new SubscriptionStream(messages, session, filter);
  const stop = log.listen((latest) => stream.feed({ kind: "appended", latest, now: clock.monotonicMs() }));
  try {
    await stream.run(request, extent);
  } finally {
    stop();
    stream.close();
  }
}

/** A filter narrows what its reader may see; it opens nothing. */
function allowedFilter(request: SubscribeRequest, session: LiveSession): LogFilter {
  const wanted = request.filter ?? {};
  if (session.labels.includes(READER_LABEL)) return wanted;
  const { devices = [] } = wanted;
  const asksForOwn = devices.length === 0 || devices.includes(session.deviceId);
  return { ...wanted, devices: [asksForOwn ? session.deviceId : NO_DEVICE] };
}

class SubscriptionStream {
  readonly #messages: MessageStream;
  readonly #session: LiveSession;
  readonly #filter: LogFilter;
  readonly #work: OwnedTasks;
  #failure: { readonly error: unknown } | undefined;
  #state: Subscription = { kind: "closed" };
  #sends: Promise<void> = Promise.resolve();
  #cancelTimer: () => void = () => undefined;

  constructor(messages: MessageStream, session: LiveSession, filter: LogFilter) {
    this.#messages = messages;
    this.#session = session;
    this.#filter = filter;
    this.#work = new OwnedTasks((error) => {
      this.#failure ??= { error };
      messages.reset(0);
    });
  }

  async run(request: SubscribeRequest, extent: Parameters<typeof openSubscription>[1]): Promise<void> {
    const { clock } = this.#session.context;
    const opened = openSubscription(request, extent, clock.monotonicMs());
    this.#state = opened.state;
    this.#perform(opened.effects);
    // The log may have grown between its extent and the listener.
    this.feed({ kind: "appended", latest: this.#session.context.log.latest, now: clock.monotonicMs() });
    try {
      for await (const message of this.#messages.messages(parseSubscriberMessage)) {
        if (message.type === "end") break;
        this.feed({ ...message, kind: "credit", now: clock.monotonicMs() });
      }
    } catch (error) {
      this.close();
      await this.#work.settled();
      throw this.#failure?.error ?? error;
    }
    const failed = this.#state.kind === "closed";
    this.close();
    await this.#work.settled();
    // A subscription that failed has said so in its last message.
    if (!failed) await this.#messages.end({ type: "end" });
    await awaitPeerEnd(this.#messages, clock);
  }

  feed(input: SubscriptionInput): void {
    const { state, effects } = stepSubscription(this.#state, input);
    this.#state = state;
    this.#perform(effects);
  }

  close(): void {
    this.#cancelTimer();
    this.#state = { kind: "closed" };
  }

  #perform(effects: readonly SubscriptionEffect[]): void {
    for (const effect of effects) this.#performOne(effect);
  }

  #performOne(effect: SubscriptionEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#work.run(() => this.#send(effect.message));
      case "caught-up":
        return this.#work.run(() => this.#send({ type: "caught-up", offset: effect.offset }));
      case "read":
        return this.#work.run(() => this.#read(effect));
      case "schedule":
        return this.#schedule(effect.at);
      case "fail":
        return this.#work.run(() => this.#queue(async () => await this.#messages.fail(effect.error)));
      default:
        return effect satisfies never;
    }
  }

  async #read(effect: Extract<SubscriptionEffect, { kind: "read" }>): Promise<void> {
    const { clock } = this.#session.context;
    const { after, maxEvents, maxBytes } = effect;
    // What a reader is told beside events costs it no credit; one that does not read gets no more of it.
    await this.#sends;
    const page = await this.#page({ after, limit: maxEvents, maxBytes, filter: this.#filter });
    if (page === undefined) return;
    if (after + 1 < page.earliest) return this.feed({ kind: "compacted", earliest: page.earliest });
    const { events } = page;
    if (events.length > 0) await this.#send({ type: "events", events: events.map(loggedEvent) });
    const bytes = events.reduce((sum, { data }) => sum + data.length, 0);
    this.feed({ kind: "sent", events: events.length, bytes, through: page.scannedTo, now: clock.monotonicMs() });
  }

  /** @returns undefined where the next event is damaged: the subscription has ended then, and its reader knows where */
  async #page(wanted: ReadEvents): Promise<EventPage | undefined> {
    try {
      return await this.#session.context.store.events.read(wanted);
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === "EVENT_DAMAGED")) throw error;
      const { code, message, metadata } = error;
      this.close();
      await this.#queue(
        async () => await this.#messages.fail({ code, message, details: { offset: Number(metadata["offset"]) } }),
      );
      return undefined;
    }
  }

  #send(message: SubscriptionMessage): Promise<void> {
    return this.#queue(async () => await this.#messages.send(message));
  }

  #queue(write: () => Promise<void>): Promise<void> {
    this.#sends = this.#sends.then(write);
    return this.#sends;
  }

  #schedule(at: number): void {
    const { clock } = this.#session.context;
    this.#cancelTimer();
    const delayMs = Math.max(0, at - clock.monotonicMs());
    this.#cancelTimer = clock.after(delayMs, () => this.feed({ kind: "tick", now: clock.monotonicMs() }));
  }
}

function loggedEvent(row: EventRow): LoggedEvent {
  const { offset, outboxEpoch, seq, kind, time, received, data } = row;
  return { offset, device: row.deviceId, outboxEpoch, seq, kind, time, received, data };
}
