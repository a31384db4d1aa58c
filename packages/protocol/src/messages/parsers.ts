/**
 * One parser per direction of each stream; see {@link messageParser} for what they throw and when they give
 * `undefined`.
 */
import type { Static } from "typebox";
import {
  caughtUp,
  credit,
  endOfStream,
  eventBatch,
  expectedSeq,
  loggedEvents,
  packedBatch,
  publishAck,
  publishReady,
  seqConflict,
  subscribed,
  subscriptionAck,
  subscriptionAcked,
  subscriptionForget,
  throttle,
} from "./events.ts";
import * as mesh from "./mesh.ts";
import { pairDone, pairIssued, pairProve, pairProved, pairShare } from "./pairing.ts";
import { messageParser } from "./parse.ts";
import { readBatchMessage, readEventsMessage } from "./read-events.ts";
import { health, renewed } from "./service.ts";
import * as session from "./session.ts";
import { taskAccepted, taskCancel, taskFinished, taskInput, taskInputEnd, taskRejected } from "./task.ts";

/** `session.open`, what a node sends after its `Hello`. */
export const parseNodeControl = messageParser({
  heartbeat: session.heartbeat,
  capabilities: session.capabilityReport,
  "policy.applied": session.policyApplied,
  pong: session.pong,
  bye: session.bye,
  "roots.applied": mesh.rootsApplied,
  "moved.applied": mesh.movedApplied,
});

/** `session.open`, what a gateway sends. */
export const parseGatewayControl = messageParser({
  welcome: session.welcome,
  "heartbeat.ack": session.heartbeatAck,
  policy: session.policyPush,
  config: session.configUpdate,
  ping: session.ping,
  renew: session.renewNow,
  checkpoint: session.checkpointNotice,
  drain: session.drain,
  revoked: session.revoked,
  roots: mesh.roots,
  moved: mesh.moved,
});

/** `events.publish`, what a node sends after the request. */
export const parsePublishMessage = messageParser(
  {
    batch: eventBatch,
    "batch.packed": packedBatch,
    end: endOfStream,
  },
  readBatchMessage,
);

/** `events.publish`, what a gateway answers. */
export const parsePublishReply = messageParser({
  ready: publishReady,
  ack: publishAck,
  expected: expectedSeq,
  conflict: seqConflict,
  throttle,
  end: endOfStream,
});

/** `events.subscribe`, what a node sends after the request. */
export const parseSubscriberMessage = messageParser({
  credit,
  ack: subscriptionAck,
  forget: subscriptionForget,
  end: endOfStream,
});

/** `events.subscribe`, what a gateway sends. */
export const parseSubscriptionMessage = messageParser(
  {
    subscribed,
    events: loggedEvents,
    "caught-up": caughtUp,
    acked: subscriptionAcked,
    end: endOfStream,
  },
  readEventsMessage,
);

/** `task.run`, what a gateway sends after the request. */
export const parseTaskToNode = messageParser({
  input: taskInput,
  "input.end": taskInputEnd,
  cancel: taskCancel,
  end: endOfStream,
});

/** `task.run`, what a node answers. */
export const parseTaskFromNode = messageParser({
  accepted: taskAccepted,
  rejected: taskRejected,
  finished: taskFinished,
});

/** `pair`, what a node sends after its hello. */
export const parsePairToGateway = messageParser({ prove: pairProve, done: pairDone });

/** `pair`, what a gateway sends. */
export const parsePairToNode = messageParser({ share: pairShare, proved: pairProved, issued: pairIssued });

/** `certificate.renew`, the answer. */
export const parseRenewReply = messageParser({ renewed });

/** `mesh.roots`, the answer. */
export const parseRootsReply = messageParser({ roots: mesh.roots });

/** `health`, the answer. */
export const parseHealthReply = messageParser({ health });

/** `events.publish`, node to gateway. */
export type PublishMessage = Static<typeof eventBatch> | Static<typeof packedBatch> | Static<typeof endOfStream>;
/** `events.subscribe`, node to gateway. */
export type SubscriberMessage =
  | Static<typeof credit>
  | Static<typeof subscriptionAck>
  | Static<typeof subscriptionForget>
  | Static<typeof endOfStream>;
