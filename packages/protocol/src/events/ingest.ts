/**
 * The gateway's side of `events.publish`: which part of a batch is new, and when to acknowledge. One per device and
 * outbox epoch; it knows sequences, the shell has the events and the store. docs/wire.md, "Publishing".
 */
import { ProtocolError } from "../errors.ts";
import type { PublishReply } from "../messages/events.ts";
import { stay, type Step } from "../session/step.ts";

/** What a batch means to a watermark. */
export type BatchJudgement =
  /** Sequences are missing in front of it; nothing of it may be stored. */
  | { readonly kind: "gap"; readonly expected: number }
  /**
   * The first `duplicates` events are already there (compare their bodies), the rest, `fresh`, is to be stored; either
   * can be 0. `watermark` is the last sequence once that is done.
   */
  | { readonly kind: "take"; readonly duplicates: number; readonly fresh: number; readonly watermark: number };

/**
 * Judge `count` events from sequence `first` against the last sequence that is stored.
 * @throws {ProtocolError} `MESSAGE_INVALID` for sequence 0 and beyond 2^53
 */
export function judgeBatch(watermark: number, first: number, count: number): BatchJudgement {
  if (first < 1 || !Number.isSafeInteger(first + count)) {
    throw new ProtocolError("MESSAGE_INVALID", "a batch outside the sequences, which start at 1");
  }
  if (first > watermark + 1) return { kind: "gap", expected: watermark + 1 };
  const duplicates = Math.min(count, watermark + 1 - first);
  return { kind: "take", duplicates, fresh: count - duplicates, watermark: Math.max(watermark, first + count - 1) };
}

/** A publish stream as its gateway sees it. */
export interface Ingest {
  /** Last sequence committed. */
  readonly committed: number;
  /** Last sequence handed to the store, committed or not; the next batch is judged against it. */
  readonly received: number;
}

/** What happens to an ingest. */
export type IngestInput =
  | { readonly kind: "batch"; readonly first: number; readonly count: number }
  /** The store has committed everything up to and with `through`. */
  | { readonly kind: "committed"; readonly through: number }
  /** The store could not commit (disk full, say), or the device is over its limits: nothing after `committed` is kept. */
  | { readonly kind: "refused"; readonly retryAfterMs: number; readonly reason?: string }
  /** Bodies were compared: `conflicts` are the sequences that differ, `through` the last of the batch's duplicates. */
  | { readonly kind: "compared"; readonly through: number; readonly conflicts: readonly number[] };

/** What the shell does for an ingest. Indices count events within the batch of the input. */
export type IngestEffect =
  | { readonly kind: "reply"; readonly reply: PublishReply }
  /**
   * Compare the first `count` events, sequences from `first`, with what is stored (one that is not committed yet has
   * nothing to differ from); then feed `compared`.
   */
  | { readonly kind: "compare"; readonly first: number; readonly count: number }
  /** Store the events from `index` on, the first of them as sequence `first`; then feed `committed` or `refused`. */
  | { readonly kind: "append"; readonly index: number; readonly first: number; readonly count: number };

type IngestStep = Step<Ingest, IngestEffect>;

/** A publish stream that just opened, for an outbox of which everything up to `watermark` (0: nothing) is committed. `encodings`: what batches may be packed with. */
export function openIngest(watermark: number, encodings: readonly string[] = []): IngestStep {
  const offer = encodings.length === 0 ? {} : { encodings: [...encodings] };
  return {
    state: { committed: watermark, received: watermark },
    effects: [{ kind: "reply", reply: { type: "ready", ackedSeq: watermark, ...offer } }],
  };
}

/**
 * Advance an ingest.
 * @throws {ProtocolError} `MESSAGE_INVALID`, from {@link judgeBatch}
 */
export function stepIngest(state: Ingest, input: IngestInput): IngestStep {
  switch (input.kind) {
    case "batch":
      return onBatch(state, input.first, input.count);
    case "committed": {
      if (input.through <= state.committed) return stay(state);
      // Acknowledged only now: a crash before it must replay, not lose.
      const committed = { committed: input.through, received: Math.max(state.received, input.through) };
      return { state: committed, effects: [{ kind: "reply", reply: { type: "ack", seq: input.through } }] };
    }
    case "refused": {
      const { retryAfterMs, reason } = input;
      const reply = { type: "throttle", retryAfterMs, ...(reason !== undefined && { reason }) } as const;
      return { state: { ...state, received: state.committed }, effects: [{ kind: "reply", reply }] };
    }
    case "compared": {
      const replies = input.conflicts.map((seq): IngestEffect => ({ kind: "reply", reply: { type: "conflict", seq } }));
      // The node may be sending again because an acknowledgement was lost: say again how far we are.
      const seq = Math.min(input.through, state.committed);
      return { state, effects: seq > 0 ? [...replies, { kind: "reply", reply: { type: "ack", seq } }] : replies };
    }
    default:
      return input satisfies never;
  }
}

function onBatch(state: Ingest, first: number, count: number): IngestStep {
  const judgement = judgeBatch(state.received, first, count);
  if (judgement.kind === "gap") {
    return { state, effects: [{ kind: "reply", reply: { type: "expected", seq: judgement.expected } }] };
  }
  const { duplicates, fresh, watermark } = judgement;
  const effects: IngestEffect[] = [];
  if (duplicates > 0) effects.push({ kind: "compare", first, count: duplicates });
  if (fresh > 0) effects.push({ kind: "append", index: duplicates, first: first + duplicates, count: fresh });
  return { state: { ...state, received: watermark }, effects };
}
