/**
 * An outbox, a publish stream and a log, with everything that can go wrong between them, for property tests of the two
 * machines.
 */
import {
  createPublisher,
  openIngest,
  stepIngest,
  stepPublisher,
  type Ingest,
  type IngestEffect,
  type IngestInput,
  type Publisher,
  type PublisherEffect,
  type PublisherInput,
  type PublishReply,
} from "@quaymesh/protocol";

/** What may happen next. */
export type Move =
  | "record"
  | "flush"
  | "write"
  | "arrive"
  | "answer"
  | "commit"
  | "refuse"
  | "wait"
  | "cut"
  | "connect"
  | "node-crash"
  | "gateway-crash";

/** Every kind of move. */
export const MOVES: readonly Move[] = [
  "record",
  "record",
  "flush",
  "write",
  "write",
  "arrive",
  "arrive",
  "answer",
  "answer",
  "commit",
  "commit",
  "refuse",
  "wait",
  "cut",
  "connect",
  "connect",
  "node-crash",
  "gateway-crash",
];

interface Batch {
  readonly first: number;
  readonly count: number;
}

/** The world. */
export class PublishWorld {
  now = 0;
  /** Sequences in the gateway's log, in commit order. */
  readonly log: number[] = [];
  /** On the node's disk. */
  recorded = 0;
  truncated = 0;
  readonly problems: string[] = [];
  largestBatch = 0;
  mostInFlight = 0;
  #publisher: Publisher;
  #scheduledAt: number | undefined;
  #toWrite: { first: number; last: number } | undefined;
  #ingest: Ingest | undefined;
  #toGateway: Batch[] = [];
  #toNode: PublishReply[] = [];
  #pending: Batch[] = [];

  constructor() {
    this.#publisher = createPublisher({ acked: 0, recorded: 0 });
  }

  move(move: Move, size: number): void {
    switch (move) {
      case "record":
        this.recorded += size;
        return this.#node({ kind: "recorded", seq: this.recorded, now: this.now });
      case "flush":
        return this.#node({ kind: "flush", now: this.now });
      case "write":
        return this.#write(size);
      case "arrive":
        return this.#arrive();
      case "answer":
        return this.#answer();
      case "commit":
        return this.#commit();
      case "refuse":
        if (this.#pending.length === 0) return undefined;
        this.#pending = [];
        return this.#gateway({ kind: "refused", retryAfterMs: size * 10 });
      case "wait":
        return this.wait(size * 20);
      case "cut":
        return this.#cut();
      case "connect":
        return this.#connect();
      case "node-crash":
        this.#cut();
        this.#publisher = createPublisher({ acked: this.truncated, recorded: this.recorded, ours: this.truncated });
        return undefined;
      case "gateway-crash":
        // What was not committed is gone.
        this.#pending = [];
        return this.#cut();
      default:
        return move satisfies never;
    }
  }

  /** Let everything finish: connected, no more failures. */
  settle(): void {
    this.#connect();
    this.move("flush", 0);
    for (let round = 0; round < 100_000 && this.log.length < this.recorded; round++) {
      this.#write(1000);
      this.#arrive();
      this.#commit();
      this.#answer();
      if (this.#toWrite === undefined && this.#toGateway.length === 0 && this.#toNode.length === 0) this.wait(1000);
    }
    while (this.#toNode.length > 0) this.#answer();
  }

  wait(ms: number): void {
    this.now += ms;
    if (this.#scheduledAt === undefined || this.now < this.#scheduledAt) return;
    this.#scheduledAt = undefined;
    this.#node({ kind: "tick", now: this.now });
  }

  #node(input: PublisherInput): void {
    const step = stepPublisher(this.#publisher, input);
    this.#publisher = step.state;
    if (step.state.link.kind === "up") this.mostInFlight = Math.max(this.mostInFlight, step.state.link.inFlight.length);
    for (const effect of step.effects) this.#perform(effect);
  }

  #perform(effect: PublisherEffect): void {
    switch (effect.kind) {
      case "send":
        if (this.#toWrite !== undefined) this.problems.push("two batches at once");
        if (effect.range.first <= this.truncated) this.problems.push(`asked for ${effect.range.first}, which is gone`);
        if (effect.range.last > this.recorded) this.problems.push("asked for what is not recorded");
        this.#toWrite = effect.range;
        return;
      case "truncate":
        if (effect.through > this.log.length) this.problems.push(`dropped ${effect.through} before it was committed`);
        this.truncated = Math.max(this.truncated, effect.through);
        return;
      case "schedule":
        this.#scheduledAt = effect.at;
        return;
      default:
        this.problems.push(JSON.stringify(effect));
    }
  }

  #write(size: number): void {
    const range = this.#toWrite;
    if (range === undefined || this.#ingest === undefined) return;
    // A frame may be full before the range is.
    const count = Math.max(1, Math.min(size, range.last - range.first + 1));
    this.largestBatch = Math.max(this.largestBatch, count);
    this.#toWrite = undefined;
    this.#toGateway.push({ first: range.first, count });
    this.#node({ kind: "sent", first: range.first, last: range.first + count - 1, now: this.now });
  }

  #arrive(): void {
    const batch = this.#toGateway.shift();
    if (batch !== undefined) this.#gateway({ kind: "batch", ...batch });
  }

  #answer(): void {
    const reply = this.#toNode.shift();
    if (reply !== undefined) this.#node({ kind: "reply", reply, now: this.now });
  }

  #gateway(input: IngestInput): void {
    if (this.#ingest === undefined) return;
    const step = stepIngest(this.#ingest, input);
    this.#ingest = step.state;
    for (const effect of step.effects) this.#performIngest(effect);
  }

  #performIngest(effect: IngestEffect): void {
    switch (effect.kind) {
      case "reply":
        this.#toNode.push(effect.reply);
        return;
      case "append":
        this.#pending.push({ first: effect.first, count: effect.count });
        return;
      case "compare":
        return this.#gateway({ kind: "compared", through: effect.first + effect.count - 1, conflicts: [] });
      default:
        effect satisfies never;
    }
  }

  #commit(): void {
    const batch = this.#pending.shift();
    if (batch === undefined) return;
    for (let seq = batch.first; seq < batch.first + batch.count; seq++) this.log.push(seq);
    this.#gateway({ kind: "committed", through: batch.first + batch.count - 1 });
  }

  #cut(): void {
    if (this.#ingest === undefined) return;
    // Appends that are with the store are committed or not, but never told to a stream that is gone.
    while (this.#pending.length > 0) this.#commit();
    this.#ingest = undefined;
    this.#toGateway = [];
    this.#toNode = [];
    this.#toWrite = undefined;
    this.#node({ kind: "lost" });
  }

  #connect(): void {
    if (this.#ingest !== undefined) return;
    const step = openIngest(this.log.length);
    this.#ingest = step.state;
    for (const effect of step.effects) this.#performIngest(effect);
  }
}
