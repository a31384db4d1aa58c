/**
 * The gateway's side of `events.subscribe`: what to read from the log next, within the reader's credit. It knows
 * offsets, the shell has the events. Live and replay are one path: a reader at the end of the log just waits for it to
 * grow. docs/wire.md, "Subscribing". Times are monotonic milliseconds.
 */
import { MAX_BATCH_EVENTS, type Subscribed, type SubscribeRequest } from "../messages/events.ts";
import { stay, type Step } from "../session/step.ts";

/** A reader without credit while events wait for it is closed after this time; it may resume. */
export const SLOW_CONSUMER_MS = 30_000;
/** Most data bytes of one `events` frame; with the other fields it stays below the frame limit. */
export const MAX_READ_BYTES = 262_144;

/**
 * What a log holds. `earliest` is the first offset still there (`latest + 1` when it is empty), `latest` the last, 0
 * when nothing was ever appended.
 */
export interface LogExtent {
  readonly log: string;
  readonly earliest: number;
  readonly latest: number;
}

/** Why a subscription cannot start or go on; sent as an error frame. */
export type SubscriptionRefusal =
  | { readonly code: "LOG_CHANGED"; readonly message: string; readonly details: { readonly log: string } }
  | { readonly code: "RESUME_FUTURE"; readonly message: string; readonly details: { readonly latest: number } }
  | { readonly code: "RESUME_COMPACTED"; readonly message: string; readonly details: { readonly earliest: number } }
  | { readonly code: "SLOW_CONSUMER"; readonly message: string; readonly details: { readonly cursor: number } };

/** A subscription as its gateway sees it. */
export type Subscription =
  | {
      readonly kind: "open";
      /** Everything up to this offset is sent, or not wanted by the filter. */
      readonly cursor: number;
      readonly latest: number;
      /**
       * Events and data bytes the reader still takes. Bytes may go below 0: one event larger than the rest of the
       * credit is sent whole.
       */
      readonly creditEvents: number;
      readonly creditBytes: number;
      readonly reading: boolean;
      /** The last `caught-up` sent. */
      readonly caughtUpAt: number | undefined;
      /** Since when events wait and credit is out. */
      readonly starvedSince: number | undefined;
    }
  | { readonly kind: "closed" };

/** What happens to a subscription. */
export type SubscriptionInput =
  /** The log has grown to `latest`. */
  | { readonly kind: "appended"; readonly latest: number; readonly now: number }
  | { readonly kind: "credit"; readonly events: number; readonly bytes: number; readonly now: number }
  /** A read is done and sent: `events` with `bytes` of data matched, and nothing else up to `through` does. */
  | {
      readonly kind: "sent";
      readonly events: number;
      readonly bytes: number;
      readonly through: number;
      readonly now: number;
    }
  /** Retention has removed everything below `earliest`. */
  | { readonly kind: "compacted"; readonly earliest: number }
  | { readonly kind: "tick"; readonly now: number }
  /** The reader ended its side, or the stream is gone. */
  | { readonly kind: "lost" };

/** What the shell does for a subscription. */
export type SubscriptionEffect =
  | { readonly kind: "send"; readonly message: Subscribed }
  /**
   * Read what matches in `after < offset <= through`, at most so many events and (but for a first event that is larger)
   * data bytes; send it if there is any; feed `sent` when the stream has taken it. There is one at a time.
   */
  | {
      readonly kind: "read";
      readonly after: number;
      readonly through: number;
      readonly maxEvents: number;
      readonly maxBytes: number;
    }
  | { readonly kind: "caught-up"; readonly offset: number }
  /** Feed a `tick` at this time; replaces the one before. */
  | { readonly kind: "schedule"; readonly at: number }
  /** End the stream with this error frame. */
  | { readonly kind: "fail"; readonly error: SubscriptionRefusal };

type OpenSubscription = Extract<Subscription, { kind: "open" }>;
type SubscriptionStep = Step<Subscription, SubscriptionEffect>;

/** What the shell found out about a request's start: a time in the log, the cursor of a durable subscription. */
export interface SubscriptionStart {
  /** Start after this offset. */
  readonly from: number;
  readonly features: readonly string[];
  readonly durable?: Subscribed["durable"];
}

/** Judge a request against the log, and start where it, or `start`, says. */
export function openSubscription(
  request: SubscribeRequest,
  extent: LogExtent,
  now: number,
  start?: SubscriptionStart,
): SubscriptionStep {
  const after = start?.from ?? request.after;
  const refusal = refusalOf({ ...request, after }, extent);
  if (refusal !== undefined) return close(refusal);
  const state: OpenSubscription = {
    kind: "open",
    // A reader that has seen nothing starts at what there is.
    cursor: Math.max(after, extent.earliest - 1),
    latest: extent.latest,
    creditEvents: request.creditEvents,
    creditBytes: request.creditBytes,
    reading: false,
    caughtUpAt: undefined,
    starvedSince: undefined,
  };
  const opened = start !== undefined && {
    from: state.cursor,
    features: [...start.features],
    ...(start.durable !== undefined && { durable: start.durable }),
  };
  return proceed(state, now, [{ kind: "send", message: { type: "subscribed", ...extent, ...opened } }]);
}

/** Advance a subscription. A closed one stays as it is. */
export function stepSubscription(state: Subscription, input: SubscriptionInput): SubscriptionStep {
  if (state.kind === "closed") return stay(state);
  switch (input.kind) {
    case "appended":
      return proceed({ ...state, latest: Math.max(state.latest, input.latest) }, input.now);
    case "credit":
      return proceed(
        {
          ...state,
          creditEvents: addCredit(state.creditEvents, input.events),
          creditBytes: addCredit(state.creditBytes, input.bytes),
        },
        input.now,
      );
    case "sent":
      return proceed(
        {
          ...state,
          reading: false,
          cursor: Math.max(state.cursor, input.through),
          creditEvents: state.creditEvents - input.events,
          creditBytes: state.creditBytes - input.bytes,
        },
        input.now,
      );
    case "compacted":
      return state.cursor + 1 < input.earliest ? close(compacted(input.earliest)) : stay(state);
    case "tick":
      return proceed(state, input.now);
    case "lost":
      return stay({ kind: "closed" });
    default:
      return input satisfies never;
  }
}

function proceed(state: OpenSubscription, now: number, before: readonly SubscriptionEffect[] = []): SubscriptionStep {
  if (state.reading) return { state, effects: before };
  if (state.cursor >= state.latest) return caughtUp({ ...state, starvedSince: undefined }, before);
  if (state.creditEvents <= 0 || state.creditBytes <= 0) return starve(state, now, before);
  const read: SubscriptionEffect = {
    kind: "read",
    after: state.cursor,
    through: state.latest,
    maxEvents: Math.min(MAX_BATCH_EVENTS, state.creditEvents),
    maxBytes: Math.min(MAX_READ_BYTES, state.creditBytes),
  };
  return { state: { ...state, reading: true, starvedSince: undefined }, effects: [...before, read] };
}

function caughtUp(state: OpenSubscription, before: readonly SubscriptionEffect[]): SubscriptionStep {
  if (state.caughtUpAt === state.cursor) return { state, effects: before };
  return {
    state: { ...state, caughtUpAt: state.cursor },
    effects: [...before, { kind: "caught-up", offset: state.cursor }],
  };
}

function starve(state: OpenSubscription, now: number, before: readonly SubscriptionEffect[]): SubscriptionStep {
  const since = state.starvedSince ?? now;
  const deadline = since + SLOW_CONSUMER_MS;
  if (now < deadline) {
    return { state: { ...state, starvedSince: since }, effects: [...before, { kind: "schedule", at: deadline }] };
  }
  return close({
    code: "SLOW_CONSUMER",
    message: `no credit for ${SLOW_CONSUMER_MS} ms while events waited`,
    details: { cursor: state.cursor },
  });
}

function refusalOf(request: SubscribeRequest, extent: LogExtent): SubscriptionRefusal | undefined {
  if (request.log !== undefined && request.log !== extent.log) {
    return { code: "LOG_CHANGED", message: "the cursor belongs to another log", details: { log: extent.log } };
  }
  if (request.after > extent.latest) {
    return { code: "RESUME_FUTURE", message: "the cursor is beyond the log", details: { latest: extent.latest } };
  }
  // `after: 0` claims to have seen nothing, so it misses nothing; `subscribed` says where the log starts.
  if (request.after > 0 && request.after + 1 < extent.earliest) return compacted(extent.earliest);
  return undefined;
}

function compacted(earliest: number): SubscriptionRefusal {
  return { code: "RESUME_COMPACTED", message: "events after the cursor are no longer kept", details: { earliest } };
}

function close(error: SubscriptionRefusal): SubscriptionStep {
  return { state: { kind: "closed" }, effects: [{ kind: "fail", error }] };
}

function addCredit(credit: number, more: number): number {
  return Math.min(credit + more, Number.MAX_SAFE_INTEGER);
}
