/** The shell around the protocol's subscriber machine: one stream at a time, its state over all of them. */
import {
  createSubscriber,
  MessageStream,
  parseSubscriptionMessage,
  stepSubscriber,
  type LoggedEvent,
  type Subscriber,
  type SubscriberEffect,
  type SubscriberInput,
} from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import type { OnlineSession } from "../link/link.ts";

type Delivery = Extract<SubscriberEffect, { kind: "deliver" }>;

/** A subscription over its streams. */
export class SubscriptionReader {
  #state: Subscriber;
  #stream: MessageStream | undefined;
  #forgets = false;
  /** Sends of one stream, in order. */
  #sends: Promise<void> = Promise.resolve();

  constructor(options: Parameters<typeof createSubscriber>[0]) {
    this.#state = createSubscriber(options);
  }

  /** The log's name; empty before it is known. */
  get log(): string {
    return this.#state.log ?? "";
  }

  /** Everything up to `offset` is done with. */
  acknowledge(offset: number): void {
    this.#step({ kind: "acknowledge", offset });
  }

  /** Remove the durable subscription with the end of the stream. */
  forget(): void {
    this.#forgets = true;
  }

  /** One stream's worth of events, as they came together: to come back for more is to be done with them. */
  async *read(
    session: OnlineSession,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly LoggedEvent[], void, undefined> {
    const both = signal === undefined ? session.signal : AbortSignal.any([session.signal, signal]);
    const stream = new MessageStream(await session.connection.openStream({ signal: both }));
    const onAbort = (): void => stream.reset(0);
    both.addEventListener("abort", onAbort, { once: true });
    this.#stream = stream;
    this.#sends = Promise.resolve();
    let graceful = false;
    try {
      this.#step({ kind: "connected" });
      for await (const message of stream.messages(parseSubscriptionMessage)) {
        for (const delivery of this.#step({ kind: "message", message })) {
          // Left in the loop body: what the reader has acknowledged so far is on its way.
          graceful = true;
          yield delivery.events;
          graceful = false;
          this.#step({ kind: "consumed", events: delivery.events.length, bytes: delivery.bytes });
          await this.#sends;
        }
        await this.#sends;
      }
    } finally {
      both.removeEventListener("abort", onAbort);
      this.#stream = undefined;
      if (graceful && !both.aborted) await this.#leave(stream);
      stream.reset(0);
      this.#state = stepSubscriber(this.#state, { kind: "lost" }).state;
    }
  }

  /** Send what is left to say, so that the gateway has it before the stream goes. */
  async #leave(stream: MessageStream): Promise<void> {
    try {
      await this.#sends;
      if (this.#state.options.durable === undefined) return;
      if (this.#forgets) await stream.send({ type: "forget" });
      await stream.end({ type: "end" });
      // The gateway answers `end` once it has stored everything.
      await stream.discard();
    } catch {
      // The stream is gone: what was not stored is given again.
    }
  }

  #step(input: SubscriberInput): readonly Delivery[] {
    const { state, effects } = stepSubscriber(this.#state, input);
    this.#state = state;
    const delivered: Delivery[] = [];
    for (const effect of effects) {
      switch (effect.kind) {
        case "send":
          this.#send(effect.message);
          break;
        case "deliver":
          delivered.push(effect);
          break;
        case "opened":
        case "acked":
        case "caught-up":
          break;
        case "unsupported":
          throw new NodeError("GATEWAY_UNSUPPORTED", `this gateway is too old for ${effect.feature}`, {
            details: { feature: effect.feature },
          });
        case "fail":
          throw new NodeError("GATEWAY_PROTOCOL", `the gateway broke the protocol of subscribing: ${effect.what}`);
        default:
          effect satisfies never;
      }
    }
    return delivered;
  }

  #send(message: Parameters<MessageStream["send"]>[0]): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#sends = this.#sends.then(() => stream.send(message));
    // Heard by whoever awaits the chain next.
    this.#sends.catch(() => {});
  }
}
