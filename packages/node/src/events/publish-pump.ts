import {
  createPublisher,
  MessageStream,
  parsePublishReply,
  stepPublisher,
  WIRE_VERSION,
  type EventBatch,
  type Publisher,
  type PublishReply,
  type PublisherEffect,
  type PublisherInput,
  type PublisherLimits,
  type SeqRange,
  type Step,
} from "@quaymesh/protocol";
import { PUBLISHER_LIMITS } from "@quaymesh/protocol";
import { Bell } from "../bell.ts";
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import type { OnlineSession } from "../link/link.ts";
import type { OutboxCursor } from "../outbox/cursor.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { afterBatch, isSmaller, NEW_PACKING, tryPack, type Compress } from "./packing.ts";

/** Event bytes in one frame: below the frame's 512 KiB with room for what is around them. */
const MAX_BATCH_BYTES = 393_216;

/** What a {@link PublishPump} works with. */
export interface PublishPumpOptions {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly limits?: PublisherLimits;
  /** Default `auto`. */
  readonly compress?: Compress;
  /** The gateway takes nothing for so long. `reason` as docs/wire.md, "Publishing", has it; `undefined`: it takes events again. */
  readonly onThrottle?: (pause: Throttle | undefined) => void;
}

/** Why the gateway takes no events, and for how long. */
export interface Throttle {
  readonly reason: string;
  readonly retryAfterMs: number;
}

/** Moves an outbox to the gateway over one `events.publish` stream: the shell of protocol's publisher machine. */
export class PublishPump {
  readonly #options: PublishPumpOptions;
  readonly #session: OnlineSession;
  readonly #inputs: PublisherInput[] = [];
  readonly #bell = new Bell();
  #state: Publisher;
  #cursor: OutboxCursor;
  #timer: AbortController | undefined;
  #failure: { readonly cause: unknown } | undefined;
  #ended = false;
  /** The gateway has said that it takes packed batches. */
  #mayPack = false;
  #packing = NEW_PACKING;

  constructor(session: OnlineSession, options: PublishPumpOptions) {
    const { outbox } = options;
    this.#session = session;
    this.#options = options;
    const { maxBatchEvents } = session.welcome.limits;
    const limits = options.limits ?? PUBLISHER_LIMITS;
    const batchEvents = Math.max(1, Math.min(limits.batchEvents, maxBatchEvents));
    this.#state = createPublisher(
      { acked: outbox.acked, recorded: outbox.durable, ours: outbox.sentThrough },
      { ...limits, batchEvents },
    );
    this.#cursor = outbox.cursor(outbox.acked);
  }

  /** Send what is recorded without waiting for a full batch. */
  flush(): void {
    const { clock, outbox } = this.#options;
    const now = clock.monotonic();
    // What was just recorded is meant too, and its news may still be on the way.
    this.#feed({ kind: "recorded", seq: outbox.durable, now });
    this.#feed({ kind: "flush", now });
  }

  /**
   * Publish until the session's signal aborts or the stream ends.
   * @throws {NodeError} `OUTBOX_BEHIND`, `OUTBOX_CORRUPT`, `GATEWAY_PROTOCOL`; rethrows what the stream threw
   */
  async run(): Promise<void> {
    const { connection, signal } = this.#session;
    const stream = new MessageStream(await connection.openStream({ signal }));
    const stopping = new AbortController();
    const both = AbortSignal.any([signal, stopping.signal]);
    const helpers = [this.#readReplies(stream), this.#watchOutbox(both)];
    try {
      const { epoch } = this.#options.outbox;
      await stream.send({ v: WIRE_VERSION, method: "events.publish", outboxEpoch: epoch });
      await this.#work(stream, both);
    } finally {
      stopping.abort();
      this.#timer?.abort();
      stream.reset(0);
      await Promise.all(helpers);
      await this.#cursor[Symbol.asyncDispose]();
    }
  }

  async #work(stream: MessageStream, signal: AbortSignal): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.cause;
      if (signal.aborted || (this.#ended && this.#inputs.length === 0)) return;
      const input = this.#inputs.shift();
      if (input === undefined) await this.#bell.wait(signal).catch(() => {});
      else await this.#perform(stepPublisher(this.#state, input), stream);
    }
  }

  async #perform(step: Step<Publisher, PublisherEffect>, stream: MessageStream): Promise<void> {
    this.#state = step.state;
    for (const effect of step.effects) await this.#act(effect, stream);
  }

  async #act(effect: PublisherEffect, stream: MessageStream): Promise<void> {
    switch (effect.kind) {
      case "send":
        return this.#send(effect.range, stream);
      case "truncate":
        return this.#options.outbox.acknowledge(effect.through);
      case "diverged":
        throw outboxDiverged(effect.seq);
      case "schedule":
        return this.#schedule(effect.at);
      case "history-gone":
        throw new NodeError(
          "OUTBOX_BEHIND",
          `the gateway asks for event ${effect.expected}, which it had acknowledged: it has lost what came after. The oldest here is ${effect.earliest}`,
          { details: { expected: effect.expected, earliest: effect.earliest } },
        );
      case "fail":
        throw new NodeError("GATEWAY_PROTOCOL", `the gateway broke the protocol of publishing: ${effect.what}`);
      default:
        return effect satisfies never;
    }
  }

  async #send(range: SeqRange, stream: MessageStream): Promise<void> {
    if (this.#cursor.after !== range.first - 1) await this.#cursor.seek(range.first - 1);
    const records = await this.#cursor.next({ events: range.last - range.first + 1, bytes: MAX_BATCH_BYTES });
    const [first] = records;
    const last = records.at(-1);
    if (first === undefined || last === undefined || first.seq !== range.first) {
      // Acknowledged while this was on its way: nothing of it is needed any more.
      return this.#feedSent({
        kind: "sent",
        first: range.first,
        last: range.last,
        now: this.#options.clock.monotonic(),
      });
    }
    const events = records.map(({ kind, time, data }) => ({ kind, time, data }));
    const { link } = this.#state;
    // Sent for the gateway to compare, this may turn out not to be what it has. Should the stream end before it says so, the next one has to ask again.
    if (link.kind !== "up" || last.seq > link.compareThrough) this.#options.outbox.sending(last.seq);
    await this.#write({ type: "batch", first: first.seq, events }, stream);
    const now = this.#options.clock.monotonic();
    this.#feedSent({ kind: "sent", first: first.seq, last: last.seq, now });
    // The frame was full before the batch was: the rest has no reason to wait.
    if (last.seq < range.last) this.#feed({ kind: "flush", now });
  }

  /** Send a batch, packed where that pays. */
  async #write(batch: EventBatch, stream: MessageStream): Promise<void> {
    const tried = this.#mayPack ? tryPack(this.#packing, batch) : undefined;
    const room = stream.send(tried !== undefined && isSmaller(tried.ratio) ? tried.packed : batch);
    const waited = room !== undefined;
    this.#packing = afterBatch(this.#packing, tried === undefined ? { waited } : { ratio: tried.ratio, waited });
    await room;
  }

  #feed(input: PublisherInput): void {
    this.#inputs.push(input);
    this.#bell.ring();
  }

  /** Ahead of what waits: while a write waited for room, the gateway may have read and answered all of it, and no answer may come before what it answers. */
  #feedSent(input: Extract<PublisherInput, { kind: "sent" }>): void {
    this.#inputs.unshift(input);
    this.#bell.ring();
  }

  async #readReplies(stream: MessageStream): Promise<void> {
    try {
      for await (const reply of stream.messages(parsePublishReply)) {
        this.#note(reply);
        this.#feed({ kind: "reply", reply, now: this.#options.clock.monotonic() });
      }
    } catch (cause) {
      this.#failure ??= { cause };
    }
    this.#ended = true;
    this.#bell.ring();
  }

  #note(reply: PublishReply): void {
    if (reply.type === "ready") {
      const { compress = "auto" } = this.#options;
      this.#mayPack = compress === "auto" && reply.encodings?.includes("zstd") === true;
    } else if (reply.type === "throttle") {
      const { retryAfterMs, reason = "store" } = reply;
      this.#options.onThrottle?.({ reason, retryAfterMs });
    } else if (reply.type === "ack") this.#options.onThrottle?.(undefined);
  }

  async #watchOutbox(signal: AbortSignal): Promise<void> {
    const { outbox, clock } = this.#options;
    let seen = this.#state.recorded;
    while (!signal.aborted) {
      if (outbox.durable > seen) {
        seen = outbox.durable;
        this.#feed({ kind: "recorded", seq: seen, now: clock.monotonic() });
      }
      await outbox.changed.wait(signal).catch(() => {});
    }
  }

  #schedule(at: number): void {
    this.#timer?.abort();
    const timer = new AbortController();
    this.#timer = timer;
    const { clock } = this.#options;
    void clock.sleep(Math.max(0, at - clock.monotonic()), timer.signal).then(
      () => this.#feed({ kind: "tick", now: clock.monotonic() }),
      () => {},
    );
  }
}

/** The gateway holds another event under a number of this outbox: a copy of it went on elsewhere, or it is an old copy itself that went on here. */
function outboxDiverged(seq: number): NodeError {
  const message = `the gateway holds another event as number ${seq} of this outbox: one of the two is an old copy`;
  return new NodeError("OUTBOX_BEHIND", message, { details: { expected: seq, earliest: seq } });
}

/** The gateway has more of an outbox epoch than the outbox ever held: it is an older copy, and has to go on under a new epoch. */
export function outboxBehind(ackedSeq: number, durable: number): NodeError {
  const message = `the gateway has ${ackedSeq} events of this outbox, which holds ${durable}`;
  return new NodeError("OUTBOX_BEHIND", message, { details: { expected: ackedSeq + 1, earliest: durable + 1 } });
}
