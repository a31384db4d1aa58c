/** Event streams: `events.publish` and `events.subscribe`. docs/wire.md, "Events". */
import { Type, type Static } from "typebox";
import { MAX_FRAME_BYTES } from "../frame/limits.ts";
import { MAX_BATCH_EVENTS, MAX_EVENT_BYTES } from "./event-form.ts";
import { bytes, deviceId, map, message, position, request, text, uint } from "./common.ts";

export { MAX_BATCH_EVENTS, MAX_EVENT_BYTES } from "./event-form.ts";

/**
 * An event as its node recorded it. `data` is one CBOR value, carried as a byte string so that a gateway need not
 * decode it.
 */
const publishedEvent = Type.Object({
  kind: text(128),
  /** The node's clock, Unix milliseconds. */
  time: uint(),
  data: bytes(1, MAX_EVENT_BYTES),
});

/** Node to gateway, the request frame. */
export const publishRequest = request("events.publish", { outboxEpoch: bytes(16, 16) });
/** Node to gateway: consecutive events; the first has sequence `first`. */
export const eventBatch = message("batch", {
  first: position(),
  events: Type.Array(publishedEvent, { minItems: 1, maxItems: MAX_BATCH_EVENTS }),
});
/** Node to gateway, where `ready` has offered the encoding: `packed` gives the body of one `batch`, `bytes` long. */
export const packedBatch = message("batch.packed", {
  encoding: Type.Literal("zstd"),
  bytes: Type.Integer({ minimum: 1, maximum: MAX_FRAME_BYTES }),
  packed: bytes(1, MAX_FRAME_BYTES),
});
/** Either side, its last message. */
export const endOfStream = message("end", {});
/** Gateway to node, first: send from `ackedSeq + 1`. `encodings`: what batches may be packed with; left out: nothing. */
export const publishReady = message("ready", {
  ackedSeq: uint(),
  encodings: Type.Optional(Type.Array(text(32), { maxItems: 16 })),
});
/** Gateway to node: everything up to and with `seq` is committed. */
export const publishAck = message("ack", { seq: uint() });
/** Gateway to node: a gap; nothing of that batch was stored, send from `seq`. */
export const expectedSeq = message("expected", { seq: position() });
/** Gateway to node: `seq` is stored with another body; it is quarantined and the node must not resend it. */
export const seqConflict = message("conflict", { seq: position() });
/** Gateway to node: stop for a while. `reason`: `rate` or `quota`, the device's own limits, or `store`, the gateway's; there may be more. */
export const throttle = message("throttle", { retryAfterMs: uint(), reason: Type.Optional(text(32)) });

const filter = map(
  Type.Object({
    /** Exact kinds, or prefixes that end in `*`. */
    kinds: Type.Optional(Type.Array(text(128), { maxItems: 64 })),
    devices: Type.Optional(Type.Array(deviceId, { maxItems: 64 })),
    /** Devices that carry one of these when the log is read; nobody does: no events. */
    labels: Type.Optional(Type.Array(text(64), { maxItems: 64 })),
  }),
);

/**
 * Node to gateway, the request frame. `after`: the first event sent is the first after that offset; `log` names the log
 * the offset belongs to. `since` and `durable` came later: a gateway that knows them says so in `subscribed.features`.
 */
export const subscribeRequest = request("events.subscribe", {
  after: uint(),
  log: Type.Optional(text(64)),
  filter: Type.Optional(filter),
  creditEvents: uint(),
  creditBytes: uint(),
  /** Begin no earlier than the first event the gateway received at this time, Unix milliseconds. */
  since: Type.Optional(uint()),
  durable: Type.Optional(
    Type.Object({
      name: text(64),
      /** What this consumer was given before its stream was cut: not to be sent again. */
      seen: Type.Optional(uint()),
      /** Go on with what is left where events are gone. */
      skipLost: Type.Optional(Type.Boolean()),
    }),
  ),
});
/** Node to gateway: everything up to `offset` is done with; of a durable subscription. */
export const subscriptionAck = message("ack", { offset: uint() });
/** Node to gateway: the durable subscription is not needed any more; answered by `end`. */
export const subscriptionForget = message("forget", {});
/** Node to gateway: this much more may be sent. */
export const credit = message("credit", { events: uint(), bytes: uint() });

/** An event as the gateway's log holds it. */
const loggedEvent = Type.Object({
  offset: position(),
  device: deviceId,
  outboxEpoch: bytes(16, 16),
  seq: position(),
  kind: text(128),
  time: uint(),
  /** The gateway's clock at commit, Unix milliseconds. */
  received: uint(),
  data: bytes(1, MAX_EVENT_BYTES),
});
/** Gateway to node, first: which log this is and what it holds. */
export const subscribed = message("subscribed", {
  log: text(64),
  earliest: uint(),
  latest: uint(),
  /** The first event is the first after this offset; absent: after the `after` of the request. */
  from: Type.Optional(uint()),
  /** What of the request, beyond the first version, is in effect: `since`, `labels`, `durable`. */
  features: Type.Optional(Type.Array(text(64), { maxItems: 16 })),
  durable: Type.Optional(
    Type.Object({ epoch: uint(), acked: uint(), created: Type.Boolean(), lost: Type.Optional(uint()) }),
  ),
});
/** Gateway to node: the cursor it keeps is at `offset`, on disk. */
export const subscriptionAcked = message("acked", { offset: uint() });
/** Gateway to node. */
export const loggedEvents = message("events", {
  events: Type.Array(loggedEvent, { minItems: 1, maxItems: MAX_BATCH_EVENTS }),
});
/** Gateway to node: nothing up to `offset` is left to send; with a filter, the reader may move its cursor there. */
export const caughtUp = message("caught-up", { offset: uint() });

/** An event as its node recorded it. */
export type PublishedEvent = Static<typeof publishedEvent>;
/** Consecutive events of one outbox epoch. */
export type EventBatch = Static<typeof eventBatch>;
/** A batch in fewer bytes. */
export type PackedBatch = Static<typeof packedBatch>;
/** An event as the gateway's log holds it. */
export type LoggedEvent = Static<typeof loggedEvent>;
/** Which events a subscriber wants; what is left out is not restricted. */
export type EventFilter = Static<typeof filter>;
/** Opens `events.subscribe`. */
export type SubscribeRequest = Static<typeof subscribeRequest>;
/** Opens `events.publish`. */
export type PublishRequest = Static<typeof publishRequest>;
/** What a gateway sends on `events.publish`. */
export type PublishReply =
  | Static<typeof publishReady>
  | Static<typeof publishAck>
  | Static<typeof expectedSeq>
  | Static<typeof seqConflict>
  | Static<typeof throttle>
  | Static<typeof endOfStream>;
/** What a gateway sends on `events.subscribe`. */
export type SubscriptionMessage =
  | Static<typeof subscribed>
  | Static<typeof loggedEvents>
  | Static<typeof caughtUp>
  | Static<typeof subscriptionAcked>
  | Static<typeof endOfStream>;
/** The first answer on `events.subscribe`. */
export type Subscribed = Static<typeof subscribed>;
