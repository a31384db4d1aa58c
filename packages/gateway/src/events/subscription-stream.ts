/**
 * `events.subscribe` on a gateway: the protocol's subscription machine says what to read, the log says what there is, the policy what of it may be seen. A durable subscription
 * moves its cursor only by what its consumer acknowledges.
 */
import {
  dataBytes,
  eventCount,
  eventsFrame,
  lastOffset,
  openSubscription,
  parseSubscriberMessage,
  ProtocolError,
  stepSubscription,
  type EncodedEvents,
  type MessageStream,
  type SubscribeRequest,
  type Subscription,
  type SubscriptionEffect,
  type SubscriptionInput,
  type SubscriptionMessage,
} from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import type { Grants } from "../policy/read-access.ts";
import type { LiveSession } from "../sessions/live-session.ts";
import { OwnedTasks } from "../sessions/owned.ts";
import { awaitPeerEnd } from "../sessions/peer-end.ts";
import { wireError } from "../sessions/stream-failure.ts";
import type { EventPage } from "../store/port-events.ts";
import { Acknowledger } from "./acknowledger.ts";
import { ReadAhead, type Room } from "./read-ahead.ts";
import type { PageWanted } from "./shared-reads.ts";
import { findStart, type FoundStart } from "./subscription-start.ts";
import { workWeight } from "./turn-share.ts";

/** How long what was read is kept for a reader that has no credit. */
const KEPT_MS = 1000;
/** What a look at the log costs that finds nothing, as `workWeight` counts. */
const READ_WEIGHT = 4096;

/** Serve one subscription to its end. */
export async function serveSubscription(
  request: SubscribeRequest,
  messages: MessageStream,
  session: LiveSession,
): Promise<void> {
  const { log, clock, holds } = session.context;
  const found = await findStart(request, session);
  const stream = new SubscriptionStream(messages, session, found);
  const stop = log.listen((latest) => stream.feed({ kind: "appended", latest, now: clock.monotonicMs() }));
  const { taken } = found;
  const letGo = taken && holds.take(taken.key, taken.epoch, (error) => stream.fail(error));
  try {
    await stream.run(request);
  } finally {
    stop();
    letGo?.();
    stream.close();
  }
}

class SubscriptionStream {
  readonly #messages: MessageStream;
  readonly #session: LiveSession;
  readonly #found: FoundStart;
  readonly #work: OwnedTasks;
  readonly #acknowledger: Acknowledger | undefined;
  #failure: { readonly error: unknown } | undefined;
  #lost: GatewayError | undefined;
  #state: Subscription = { kind: "closed" };
  #grants: Grants | undefined;
  /** What was sent goes this far: nothing beyond can have been read. */
  #sentThrough = 0;
  #sends: Promise<void> = Promise.resolve();
  #cancelTimer: () => void = () => undefined;
  readonly #ahead: ReadAhead;
  #cancelDrop: () => void = () => undefined;

  constructor(messages: MessageStream, session: LiveSession, found: FoundStart) {
    const { store, clock, pages } = session.context;
    this.#ahead = new ReadAhead(pages);
    this.#messages = messages;
    this.#session = session;
    this.#found = found;
    this.#acknowledger =
      found.taken &&
      new Acknowledger(store.subscriptions, clock, found.taken, (offset) => this.#send({ type: "acked", offset }));
    this.#work = new OwnedTasks((error) => {
      this.#failure ??= { error };
      messages.reset(0);
    });
  }

  async run(request: SubscribeRequest): Promise<void> {
    const { clock, store, log } = this.#session.context;
    const extent = { log: store.meta.logId, ...(await store.events.bounds()) };
    // Overtaken before it began.
    if (this.#lost !== undefined) throw this.#lost;
    const opened = openSubscription(request, extent, clock.monotonicMs(), this.#found.start);
    this.#state = opened.state;
    this.#sentThrough = opened.state.kind === "open" ? opened.state.cursor : 0;
    this.#perform(opened.effects);
    // The log may have grown between its extent and the listener.
    this.feed({ kind: "appended", latest: log.latest, now: clock.monotonicMs() });
    try {
      await this.#readMessages();
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

  /** End with an error frame, for a reason outside of the stream. */
  fail(error: GatewayError): void {
    this.#lost ??= error;
    if (this.#state.kind === "closed") return;
    this.close();
    this.#work.run(() => this.#queue(async () => await this.#messages.fail(wireError(error, this.#session))));
  }

  close(): void {
    this.#cancelTimer();
    this.#cancelDrop();
    this.#ahead.drop();
    this.#state = { kind: "closed" };
  }

  async #readMessages(): Promise<void> {
    const { clock, store } = this.#session.context;
    for await (const message of this.#messages.messages(parseSubscriberMessage)) {
      switch (message.type) {
        case "end":
          return;
        case "credit":
          this.feed({ ...message, kind: "credit", now: clock.monotonicMs() });
          break;
        case "ack":
          this.#acknowledge(message.offset);
          break;
        case "forget": {
          const { taken } = this.#found;
          if (taken === undefined) throw new ProtocolError("STATE_INVALID", "nothing durable to forget");
          if (this.#state.kind === "closed") break;
          this.#cancelTimer();
          // Under its epoch: one that another has taken meanwhile is not this consumer's to remove.
          await store.subscriptions.remove({ ...taken.key, epoch: taken.epoch });
          return;
        }
        default:
          message satisfies never;
      }
    }
  }

  #acknowledge(offset: number): void {
    // What was under way when the subscription failed.
    if (this.#state.kind === "closed") return;
    const acknowledger = this.#acknowledger;
    if (acknowledger === undefined) throw new ProtocolError("STATE_INVALID", "an ack where nothing is durable");
    if (offset > this.#sentThrough) throw new ProtocolError("STATE_INVALID", "an ack of what was not sent");
    this.#work.run(async () => {
      try {
        await acknowledger.acknowledge(offset);
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        this.fail(error);
      }
    });
  }

  #perform(effects: readonly SubscriptionEffect[]): void {
    for (const effect of effects) this.#performOne(effect);
  }

  #performOne(effect: SubscriptionEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#work.run(() => this.#send(effect.message));
      case "caught-up":
        this.#sentThrough = effect.offset;
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

  async #read({ after, maxEvents, maxBytes }: Extract<SubscriptionEffect, { kind: "read" }>): Promise<void> {
    const { clock, access, share } = this.#session.context;
    // What a reader is told beside events costs it no credit; one that does not read gets no more of it.
    await this.#sends;
    this.#cancelDrop();
    await share.take(this.#session.deviceId, READ_WEIGHT);
    while (this.#state.kind === "open") {
      const { generation, grants } = await this.#granted();
      const { filter } = this.#found;
      const room = { maxEvents, maxBytes, creditEvents: this.#state.creditEvents };
      const page = await this.#page({ after, filter, grants, generation }, room);
      if (page === undefined) return;
      if (after + 1 < page.earliest) return this.feed({ kind: "compacted", earliest: page.earliest });
      // Read again what may not be seen any more, up to the moment in which it is sent.
      const [events, bytes] = [eventCount(page.events), dataBytes(page.events)];
      await share.take(this.#session.deviceId, workWeight(events, bytes));
      if (!(await this.#sendEvents(page.events, () => this.#state.kind === "open" && access.generation === generation)))
        continue;
      const now = clock.monotonicMs();
      this.#keepAwhile();
      return this.feed({ kind: "sent", events, bytes, through: page.scannedTo, now });
    }
  }

  #keepAwhile(): void {
    if (this.#state.kind === "closed") return;
    this.#cancelDrop = this.#session.context.clock.after(KEPT_MS, () => this.#ahead.drop());
  }

  /** @returns undefined where the next event is damaged: the subscription has ended then, and its reader knows where */
  async #page(wanted: PageWanted, room: Room): Promise<EventPage | undefined> {
    try {
      return await this.#ahead.read(wanted, room);
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === "EVENT_DAMAGED")) throw error;
      this.fail(error);
      return undefined;
    }
  }

  async #granted(): Promise<Grants> {
    const { access } = this.#session.context;
    if (this.#grants?.generation !== access.generation) this.#grants = await access.of(this.#session.deviceId);
    return this.#grants;
  }

  /** @returns whether they were sent, which they are not where they may not be seen when it is their turn */
  async #sendEvents(events: EncodedEvents, maySend: () => boolean): Promise<boolean> {
    let sent = false;
    await this.#queue(async () => {
      sent = maySend();
      const last = lastOffset(events);
      if (!sent || last === undefined) return;
      this.#sentThrough = last;
      await this.#messages.sendParts(eventsFrame(events));
    });
    return sent;
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
