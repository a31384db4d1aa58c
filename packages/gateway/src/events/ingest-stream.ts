/** `events.publish` on a gateway: the protocol's ingest machine judges sequences, the store commits, and only then is anything acknowledged. */
import {
  isValue,
  openIngest,
  parsePublishMessage,
  parseTaskEvent,
  ProtocolError,
  readResultRef,
  stepIngest,
  type EventBatch,
  type Ingest,
  type IngestInput,
  type MessageStream,
  type PackedBatch,
  type PublishedEvent,
  type PublishReply,
  type PublishRequest,
  type TaskEvent,
} from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import type { AppendEvent } from "../store/port-events.ts";
import type { Admission } from "./ingest-gate.ts";
import { workWeight } from "./turn-share.ts";
import { ENCODINGS } from "./unpack.ts";
import type { LiveSession } from "../sessions/live-session.ts";
import { awaitPeerEnd } from "../sessions/peer-end.ts";
import { failWhileReading } from "../sessions/stream-failure.ts";

/** How long a node pauses when the store has no room. */
const THROTTLE_MS = 1000;
/** Of batches that wait for their commit, as `workWeight` counts: four or five of the largest. */
const MAX_WEIGHT = 2 * 1024 * 1024;
/** Replies that may wait for a node that does not read them. */
const MAX_WAITING_REPLIES = 64;
/** Of a batch, so many sequences are named in the log. */
const MAX_NAMED = 8;
/** Kinds that only the gateway itself records. docs/wire.md, "Limits". */
const OWN_KINDS = "mesh.";

/** Serve one publish stream to its end. */
export async function serveIngest(
  request: PublishRequest,
  messages: MessageStream,
  session: LiveSession,
): Promise<void> {
  const epoch = session.outboxEpoch;
  if (epoch === undefined || Buffer.compare(epoch, request.outboxEpoch) !== 0) {
    await messages.fail({ code: "OUTBOX_UNKNOWN", message: "the outbox epoch is not the one of the hello" });
    return await awaitPeerEnd(messages, session.context.clock);
  }
  const { deviceId } = session;
  const watermark = await session.context.store.events.watermark({ deviceId, outboxEpoch: epoch });
  const ingest = new IngestStream(messages, session, epoch, watermark);
  await ingest.run();
}

class IngestStream {
  readonly #messages: MessageStream;
  readonly #session: LiveSession;
  readonly #epoch: Uint8Array;
  readonly #inFlight = new Set<Promise<void>>();
  /** Of those, as `workWeight` counts. */
  #weight = 0;
  /** Set once the stream has failed before its node ended it. */
  #failed = false;
  #state: Ingest;
  #replies: Promise<void> = Promise.resolve();
  #waitingReplies = 0;

  constructor(messages: MessageStream, session: LiveSession, epoch: Uint8Array, watermark: number) {
    this.#messages = messages;
    this.#session = session;
    this.#epoch = epoch;
    const { state, effects } = openIngest(watermark, ENCODINGS);
    this.#state = state;
    for (const effect of effects) if (effect.kind === "reply") this.#reply(effect.reply);
  }

  async run(): Promise<void> {
    const { maxBatchesInFlight, clock, share } = this.#session.context;
    try {
      for await (const message of this.#messages.messages(parsePublishMessage)) {
        if (message.type === "end") break;
        // After a failure the node is told, and what it had under way is dropped until it ends.
        if (this.#failed) continue;
        const weight = weightOf(message);
        await share.take(this.#session.deviceId, weight);
        if (message.type === "batch") this.#onBatch(message, weight);
        else this.#onPacked(message, weight);
        // One node may not fill the store's queue: the next batch is read when one of these is committed, and QUIC holds the node back until then. But what is to share a commit has to be there.
        while (this.#inFlight.size >= maxBatchesInFlight || this.#weight >= MAX_WEIGHT)
          await Promise.race(this.#inFlight);
        // Nor may it fill our memory with answers it does not read.
        if (this.#waitingReplies > MAX_WAITING_REPLIES) await this.#replies;
      }
    } finally {
      await Promise.all(this.#inFlight);
      await this.#replies;
    }
    if (this.#failed) return;
    await this.#messages.end({ type: "end" });
    await awaitPeerEnd(this.#messages, clock);
  }

  #onPacked(message: PackedBatch, weight: number): void {
    const { context, deviceId } = this.#session;
    const unpacked = context.ingest.unpack(deviceId, message);
    if (unpacked.kind === "unpacked") this.#onBatch(unpacked.batch, weight);
    else this.#step({ kind: "refused", retryAfterMs: unpacked.retryAfterMs, reason: unpacked.reason });
  }

  #onBatch(batch: EventBatch, weight: number): void {
    const before = this.#state.received;
    const effects = this.#step({ kind: "batch", first: batch.first, count: batch.events.length });
    const work = effects.filter((effect) => effect.kind !== "reply");
    if (work.length === 0) return;
    const events = batch.events.map((event) => this.#parse(event));
    const duplicatesThrough = Math.min(before, batch.first + events.length - 1);
    // Comparing and storing are one unit of the store, whatever the machine calls them.
    const task = this.#commit(batch.first, events, duplicatesThrough)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#inFlight.delete(task);
        this.#weight -= weight;
      });
    this.#inFlight.add(task);
    this.#weight += weight;
  }

  async #commit(first: number, events: readonly AppendEvent[], duplicatesThrough: number): Promise<void> {
    const { ingest, clock } = this.#session.context;
    let result: Admission;
    try {
      const { deviceId } = this.#session;
      result = await ingest.append({ deviceId, outboxEpoch: this.#epoch, first, events, now: clock.now() });
    } catch (error) {
      if (!isPassing(error)) throw error;
      result = { kind: "throttled", reason: "store", retryAfterMs: THROTTLE_MS };
    }
    if (result.kind === "throttled") {
      const { reason, retryAfterMs } = result;
      this.#step({ kind: "refused", retryAfterMs, reason });
      return;
    }
    if (result.kind === "expected") {
      // A batch before this one was not kept: the node has been told, and sends both again.
      this.#reply({ type: "expected", seq: result.seq });
      return;
    }
    if (result.conflicts.length > 0) this.#logConflicts(result.conflicts);
    if (duplicatesThrough >= first || result.conflicts.length > 0) {
      this.#step({ kind: "compared", through: duplicatesThrough, conflicts: result.conflicts });
    }
    this.#step({ kind: "committed", through: result.ackedSeq });
  }

  #step(input: IngestInput) {
    const { state, effects } = stepIngest(this.#state, input);
    this.#state = state;
    for (const effect of effects) if (effect.kind === "reply") this.#reply(effect.reply);
    return effects;
  }

  #reply(reply: PublishReply): void {
    this.#waitingReplies += 1;
    this.#replies = this.#replies
      .then(() => this.#messages.send(reply))
      .catch((error: unknown) => this.#fail(error))
      .finally(() => (this.#waitingReplies -= 1));
  }

  async #fail(error: unknown): Promise<void> {
    if (this.#failed) return;
    this.#failed = true;
    await failWhileReading(error, this.#messages, this.#session);
  }

  #parse(event: PublishedEvent): AppendEvent {
    if (event.kind.startsWith(OWN_KINDS)) throw new ProtocolError("MESSAGE_INVALID", "that kind is the gateway's own");
    const report = this.#report(event);
    if (report !== undefined) return { ...event, report };
    // What is no value now cannot be read by anyone later.
    if (!isValue(event.data)) throw new ProtocolError("MESSAGE_INVALID", "an event whose data is not one CBOR value");
    return event;
  }

  #report({ kind, data }: PublishedEvent): TaskEvent | undefined {
    try {
      return parseTaskEvent(kind, data);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (error.code === "CBOR_INVALID") return undefined;
      // Kept as an event, like any other: refusing it would hold up the outbox behind it for ever.
      const { deviceId, context } = this.#session;
      const facts = context.pace.line(deviceId, "report");
      if (facts !== undefined)
        context.logger.warn({ ...facts, kind, code: error.code }, "a task report cannot be read");
      const ref = kind === "task.result" ? readResultRef(data) : undefined;
      return ref === undefined ? undefined : unreadableResult(ref, error);
    }
  }

  #logConflicts(seqs: readonly number[]): void {
    const { deviceId, context } = this.#session;
    const facts = context.pace.line(deviceId, "conflict");
    if (facts === undefined) return;
    const named = { ...facts, count: seqs.length, seqs: seqs.slice(0, MAX_NAMED) };
    context.logger.error(named, "sequences came again with another body: quarantined");
  }
}

/** A result nobody can read is still the attempt's last word: it ends the attempt, and does not leave it running for ever. */
function unreadableResult(ref: { readonly taskId: string; readonly token: number }, cause: ProtocolError): TaskEvent {
  const error = { code: "RESULT_INVALID", message: cause.message, retryable: false };
  return { kind: "task.result", data: { ...ref, outcome: "failed", outputChunks: 0, outputBytes: 0, error } };
}

/** Of what is unpacked, where it is packed: that is what its sender spares itself. */
function weightOf(message: EventBatch | PackedBatch): number {
  if (message.type === "batch.packed") return message.bytes;
  return workWeight(
    message.events.length,
    message.events.reduce((sum, { data }) => sum + data.length, 0),
  );
}

/** Whether trying again later can help: nothing of the batch was kept. */
function isPassing(error: unknown): boolean {
  return error instanceof GatewayError && (error.code === "STORE_FULL" || error.code === "STORE_OVERLOADED");
}
