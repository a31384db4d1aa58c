/**
 * The node's side of `events.publish`: when to send which range of the outbox, and what may be dropped from it. It
 * knows sequences, not events: the shell reads and writes the disk. docs/wire.md, "Publishing". Times are monotonic
 * milliseconds.
 */
import type { PublishReply } from "../messages/events.ts";
import { stay, type Step } from "../session/step.ts";

/** Bounds of a {@link Publisher}. */
export interface PublisherLimits {
  /** A batch is sent once it has this many events … */
  readonly batchEvents: number;
  /** … or its oldest event has waited this long. */
  readonly batchDelayMs: number;
  /** Batches sent and not acknowledged. */
  readonly windowBatches: number;
}

/** 100 events or 1 s; 16 batches under way. */
export const PUBLISHER_LIMITS: PublisherLimits = { batchEvents: 100, batchDelayMs: 1000, windowBatches: 16 };

/** Consecutive sequences, both ends included. */
export interface SeqRange {
  readonly first: number;
  readonly last: number;
}

/** Where the publish stream stands. */
export type PublisherLink =
  /** No stream, or no `ready` yet. */
  | { readonly kind: "down" }
  | {
      readonly kind: "up";
      /** Last sequence of each batch sent and not acknowledged, in order. */
      readonly inFlight: readonly number[];
      /** Sent on this stream, or known to be at the gateway; goes back when the gateway asks for more of the past. */
      readonly sent: number;
      /** The furthest `sent` ever was on this stream: no answer can speak of more. */
      readonly furthest: number;
      /** The range the shell is reading and sending now. */
      readonly sending: SeqRange | undefined;
      /** The gateway has events up to here, some of which may not be ours: they are sent again for it to compare, and nothing new goes before it has. 0 where there is nothing to compare. */
      readonly compareThrough: number;
      /** Nothing is sent before this time. */
      readonly pausedUntil: number | undefined;
      /** Where the last `expected` sent us; batches that were under way then repeat it. */
      readonly rewoundTo: number | undefined;
    }
  /**
   * Outbox and gateway do not agree on the past: the gateway lacks sequences this outbox no longer has, or has others under their numbers, since one of the two was put back to an older state. Only a new outbox epoch goes
   * on from here.
   */
  | { readonly kind: "history-gone"; readonly expected: number };

/** A node's outbox on its way to the gateway. */
export interface Publisher {
  readonly limits: PublisherLimits;
  /** Everything up to this sequence is on disk. */
  readonly recorded: number;
  /** Everything up to this sequence is committed at the gateway, so not needed here. */
  readonly acked: number;
  /** Events up to here were sent from this very outbox, or acknowledged to it: an acknowledgement of them is taken as it is. */
  readonly ours: number;
  /** When the oldest event not sent was recorded. */
  readonly waitingSince: number | undefined;
  /** Events up to this sequence are sent without waiting for a full batch. */
  readonly flushThrough: number;
  readonly link: PublisherLink;
}

/** What happens to a publisher. */
export type PublisherInput =
  /** The outbox has written (and synced) everything up to `seq`. */
  | { readonly kind: "recorded"; readonly seq: number; readonly now: number }
  /** Send what is recorded now. */
  | { readonly kind: "flush"; readonly now: number }
  | { readonly kind: "reply"; readonly reply: PublishReply; readonly now: number }
  /**
   * The batch of an effect is written to the stream. `last` may be smaller than asked, where the events' bytes fill a
   * frame earlier.
   */
  | { readonly kind: "sent"; readonly first: number; readonly last: number; readonly now: number }
  /** The stream or the connection is gone. */
  | { readonly kind: "lost" }
  | { readonly kind: "tick"; readonly now: number };

/** What the shell does for a publisher. */
export type PublisherEffect =
  /** Read these events, send as many as fit one frame, feed `sent`. There is one at a time. */
  | { readonly kind: "send"; readonly range: SeqRange }
  /** Drop the outbox up to and with `through`. */
  | { readonly kind: "truncate"; readonly through: number }
  /** The gateway holds another event as `seq`: start a new outbox epoch with this one and all after it, and say so loudly. */
  | { readonly kind: "diverged"; readonly seq: number }
  /** Feed a `tick` at this time; replaces the one before. */
  | { readonly kind: "schedule"; readonly at: number }
  /** Start a new outbox epoch with what is left, and say so loudly. */
  | { readonly kind: "history-gone"; readonly expected: number; readonly earliest: number }
  /** The gateway broke the protocol: reset the stream. */
  | { readonly kind: "fail"; readonly what: string };

type PublisherStep = Step<Publisher, PublisherEffect>;

/**
 * A publisher for an outbox that holds `acked + 1` to `recorded`; both 0 when it is new.
 * @param outbox.ours what this process has sent of it; what an earlier one sent, or another copy of this outbox did, is compared before it is taken for acknowledged. Default: all of it
 */
export function createPublisher(
  outbox: { readonly acked: number; readonly recorded: number; readonly ours?: number },
  limits: PublisherLimits = PUBLISHER_LIMITS,
): Publisher {
  return {
    limits,
    recorded: outbox.recorded,
    acked: outbox.acked,
    ours: Math.max(outbox.acked, outbox.ours ?? outbox.recorded),
    waitingSince: undefined,
    flushThrough: 0,
    link: { kind: "down" },
  };
}

/** Advance a publisher. */
export function stepPublisher(state: Publisher, input: PublisherInput): PublisherStep {
  switch (input.kind) {
    case "recorded":
      if (input.seq <= state.recorded) return stay(state);
      return proceed({ ...state, recorded: input.seq, waitingSince: state.waitingSince ?? input.now }, input.now);
    case "flush":
      return proceed({ ...state, flushThrough: state.recorded }, input.now);
    case "reply":
      return onReply(state, input.reply, input.now);
    case "sent":
      return onSent(state, input.first, input.last, input.now);
    case "lost":
      // A gone history stays gone; everything else starts over with the next `ready`.
      return stay(state.link.kind === "up" ? { ...state, link: { kind: "down" } } : state);
    case "tick":
      return proceed(state, input.now);
    default:
      return input satisfies never;
  }
}

function onReply(state: Publisher, reply: PublishReply, now: number): PublisherStep {
  const { link } = state;
  if (reply.type === "ready")
    return link.kind === "down" ? onReady(state, reply.ackedSeq, now) : fail(state, "a second ready");
  if (link.kind !== "up") return link.kind === "down" ? fail(state, `${reply.type} before ready`) : stay(state);
  switch (reply.type) {
    case "ack": {
      const { furthest, compareThrough } = link;
      if (reply.seq > Math.max(furthest, compareThrough)) {
        return fail(state, "an acknowledgement of what was not sent");
      }
      // It may speak of all the gateway has, of which only what was sent has been compared.
      const through = Math.min(reply.seq, furthest);
      if (through <= state.acked) return stay(state);
      const inFlight = link.inFlight.filter((last) => last > through);
      const sent = Math.max(link.sent, through);
      const acked = { ...state, acked: through, link: { ...link, inFlight, sent, rewoundTo: undefined } };
      return proceed(acked, now, [{ kind: "truncate", through }]);
    }
    case "expected":
      return onExpected(state, link, reply.seq, now);
    case "conflict":
      if (reply.seq > link.furthest) return fail(state, "a conflict about what was not sent");
      return reply.seq <= state.acked ? stay(state) : diverged(state, reply.seq);
    case "throttle":
      // What is under way was not stored: it goes again after the pause.
      return proceed(rewind(state, { ...link, pausedUntil: now + pauseMs(reply.retryAfterMs) }, state.acked), now);
    case "end":
      return stay({ ...state, link: { kind: "down" } });
    default:
      return reply satisfies never;
  }
}

/** Whatever is asked for, events are not held back for longer than this without another try. */
const MAX_PAUSE_MS = 3_600_000;

function pauseMs(askedMs: number): number {
  return Math.min(askedMs, MAX_PAUSE_MS);
}

function onReady(state: Publisher, ackedSeq: number, now: number): PublisherStep {
  if (ackedSeq > state.recorded) return fail(state, "ready beyond the outbox");
  if (ackedSeq < state.acked) return historyGone(state, ackedSeq + 1);
  // Of what was not sent from here the gateway may have another copy's: a number alone proves nothing.
  const acked = Math.min(ackedSeq, state.ours);
  const truncate: PublisherEffect[] = acked > state.acked ? [{ kind: "truncate", through: acked }] : [];
  const up: Publisher = {
    ...state,
    acked,
    // What waited while the stream was down has waited long enough.
    flushThrough: state.recorded,
    link: {
      kind: "up",
      inFlight: [],
      sent: acked,
      furthest: acked,
      compareThrough: ackedSeq,
      sending: undefined,
      pausedUntil: undefined,
      rewoundTo: undefined,
    },
  };
  return proceed(up, now, truncate);
}

type UpLink = Extract<PublisherLink, { kind: "up" }>;

function onExpected(state: Publisher, link: UpLink, seq: number, now: number): PublisherStep {
  if (seq > link.furthest + 1) return fail(state, "expected beyond what was sent");
  if (seq <= state.acked) return historyGone(state, seq);
  // Every batch that was under way behind the gap gets the same answer; the first has already sent us back.
  if (link.rewoundTo === seq) return stay(state);
  return proceed(rewind(state, { ...link, rewoundTo: seq }, seq - 1), now);
}

function rewind(state: Publisher, link: UpLink, sent: number): Publisher {
  return { ...state, flushThrough: Math.max(state.flushThrough, link.sent), link: { ...link, sent, inFlight: [] } };
}

function onSent(state: Publisher, first: number, last: number, now: number): PublisherStep {
  const { link } = state;
  if (link.kind !== "up" || link.sending?.first !== first) return stay(state);
  const idle: UpLink = { ...link, sending: undefined };
  // Sent back while it was written: it counts for nothing.
  if (first !== link.sent + 1) return proceed({ ...state, link: idle }, now);
  const sent: UpLink = {
    ...idle,
    sent: last,
    furthest: Math.max(link.furthest, last),
    inFlight: [...link.inFlight, last],
  };
  // Younger events wait from now at the earliest; when each was recorded is not worth remembering.
  const ours = Math.max(state.ours, last);
  return proceed({ ...state, ours, waitingSince: last < state.recorded ? now : undefined, link: sent }, now);
}

/** Send the next batch if one is due, or say when one will be. */
function proceed(state: Publisher, now: number, before: readonly PublisherEffect[] = []): PublisherStep {
  const { link, limits } = state;
  const done = { state, effects: before };
  if (link.kind !== "up" || link.sending !== undefined || link.sent >= state.recorded) return done;
  if (link.pausedUntil !== undefined && now < link.pausedUntil) {
    return { state, effects: [...before, { kind: "schedule", at: link.pausedUntil }] };
  }
  if (link.inFlight.length >= limits.windowBatches) return done;
  const first = link.sent + 1;
  const isComparing = link.sent < link.compareThrough;
  if (!isComparing && state.acked < link.compareThrough) return done;
  const most = isComparing ? link.compareThrough : state.recorded;
  const last = Math.min(most, link.sent + limits.batchEvents);
  const dueAt = (state.waitingSince ?? now) + limits.batchDelayMs;
  const full = last - link.sent === limits.batchEvents;
  if (!full && first > state.flushThrough && now < dueAt) {
    return {
      state: { ...state, waitingSince: dueAt - limits.batchDelayMs },
      effects: [...before, { kind: "schedule", at: dueAt }],
    };
  }
  const range = { first, last };
  return {
    state: { ...state, link: { ...link, pausedUntil: undefined, sending: range } },
    effects: [...before, { kind: "send", range }],
  };
}

function historyGone(state: Publisher, expected: number): PublisherStep {
  return {
    state: { ...state, link: { kind: "history-gone", expected } },
    effects: [{ kind: "history-gone", expected, earliest: state.acked + 1 }],
  };
}

/** What lies before the first event that differs was compared: it is there. */
function diverged(state: Publisher, seq: number): PublisherStep {
  const acked = seq - 1;
  const truncate: PublisherEffect[] = acked > state.acked ? [{ kind: "truncate", through: acked }] : [];
  return {
    state: { ...state, acked, link: { kind: "history-gone", expected: seq } },
    effects: [...truncate, { kind: "diverged", seq }],
  };
}

function fail(state: Publisher, what: string): PublisherStep {
  return { state: { ...state, link: { kind: "down" } }, effects: [{ kind: "fail", what }] };
}
