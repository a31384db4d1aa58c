export type {
  Authorize,
  BoundAddress,
  ByteStream,
  Connection,
  Credentials,
  DialOptions,
  InheritedSocket,
  ListenAddress,
  Listener,
  ListenLimits,
  ListenOptions,
  PeerIdentity,
  PeerTrust,
  RefusalReason,
  RefusedAttempt,
  SocketAddress,
  Transport,
  Verdict,
} from "./transport/port.ts";
export { LISTENER_CUTS, LISTENER_REFUSALS } from "./transport/stats.ts";
export type { ConnectionStats, ListenerCut, ListenerRefusal, ListenerStats } from "./transport/stats.ts";
export { isBehind, MAX_CHECKPOINT_REVOCATIONS } from "./session/checkpoint.ts";
export { parseCheckpoint } from "./messages/checkpoint.ts";
export type { Checkpoint } from "./messages/checkpoint.ts";
export { JOIN_TOKEN_BYTES, judgeJoin } from "./session/join.ts";
export type { JoinTokens, JoinVerdict } from "./session/join.ts";
export { CLOSE_CODES, QUIC_ERRORS, REFUSAL_CODES, dialVerdict } from "./transport/close.ts";
export type { CloseInfo, DialVerdict } from "./transport/close.ts";
export { VERDICTS, verdictOfRefusal } from "./transport/verdicts.ts";
export type { VerdictText } from "./transport/verdicts.ts";
export { ok, runChecks, skipped, worstFinding, wrong } from "./diagnosis/checks.ts";
export type { Check, CheckResult, Finding, FindingVerdict } from "./diagnosis/checks.ts";
export type { PathProbe, ProbeAnswer, ProbeOptions } from "./diagnosis/probe.ts";
export { ProtocolError, RemoteError, TransportError } from "./errors.ts";
export type { ProtocolErrorCode, TransportErrorCode } from "./errors.ts";
export { FRAME_LIMITS, VALUE_LIMITS } from "./cbor/limits.ts";
export type { CborLimits } from "./cbor/limits.ts";
export { decodeCbor, decodeValue } from "./cbor/decode.ts";
export { isValue } from "./cbor/scan.ts";
export { encodeCbor, encodeValue } from "./cbor/encode.ts";
export { FRAME_HEADER_BYTES, MAX_FRAME_BYTES, MAX_UNAUTHENTICATED_FRAME_BYTES } from "./frame/limits.ts";
export { FrameDecoder } from "./frame/decoder.ts";
export { encodeFrame, frame } from "./frame/encode.ts";
export { WIRE_VERSION } from "./messages/common.ts";
export { MAX_BATCH_EVENTS, MAX_EVENT_BYTES } from "./messages/events.ts";
export type {
  EventBatch,
  EventFilter,
  LoggedEvent,
  PackedBatch,
  PublishedEvent,
  PublishReply,
  PublishRequest,
  Subscribed,
  SubscribeRequest,
  SubscriptionMessage,
} from "./messages/events.ts";
export type {
  PairHello,
  PairIssued,
  PairProve,
  PairProved,
  PairShare,
  PairToGateway,
  PairToNode,
} from "./messages/pairing.ts";
export type { MessageParser } from "./messages/parse.ts";
export {
  parseGatewayControl,
  parseHealthReply,
  parseNodeControl,
  parsePairToGateway,
  parsePairToNode,
  parsePublishMessage,
  parsePublishReply,
  parseRenewReply,
  parseRootsReply,
  parseSubscriberMessage,
  parseSubscriptionMessage,
  parseTaskFromNode,
  parseTaskToNode,
} from "./messages/parsers.ts";
export type { PublishMessage, SubscriberMessage } from "./messages/parsers.ts";
export { GATEWAY_METHODS, methodOf, NODE_METHODS, PAIRING_METHODS, parseRequest } from "./messages/request.ts";
export type { Request, RequestMethod } from "./messages/request.ts";
export { MAX_ROOT_STATEMENTS } from "./messages/mesh.ts";
export type { MeshNews, MeshNewsApplied, Moved, Roots, RootsRequest } from "./messages/mesh.ts";
export type { Health, HealthRequest, Renewed, RenewRequest } from "./messages/service.ts";
export { MAX_RUNNING_ATTEMPTS } from "./messages/session.ts";
export type {
  Capability,
  GatewayControlMessage,
  Heartbeat,
  HeartbeatAck,
  Hello,
  NodeControlMessage,
  RunningAttempt,
  Welcome,
} from "./messages/session.ts";
export { MAX_TASK_CHUNK_BYTES } from "./messages/task.ts";
export type {
  TaskFromNode,
  TaskLogData,
  TaskOutputData,
  TaskProgressData,
  TaskResultData,
  TaskRun,
  TaskToNode,
} from "./messages/task.ts";
export { parseTaskEvent, readResultRef } from "./messages/task-event.ts";
export type { TaskEvent } from "./messages/task-event.ts";
export { errorFrameOf } from "./messages/wire.ts";
export type { ErrorFacts, ErrorMessage, WireMessage } from "./messages/wire.ts";
export { MessageStream } from "./stream/message-stream.ts";
export type { Step } from "./session/step.ts";
export { BACKOFF_LIMITS, backoffMs, planRedial } from "./session/backoff.ts";
export type { BackoffLimits, RedialPlan, StopReason } from "./session/backoff.ts";
export { openGatewaySession, stepGatewaySession } from "./session/gateway-session.ts";
export { HELLO_TIMEOUT_MS, MISSED_HEARTBEATS } from "./session/gateway-session-state.ts";
export type {
  GatewaySession,
  GatewaySessionEffect,
  GatewaySessionInput,
  OpenGatewaySession,
  SessionEnd,
} from "./session/gateway-session-state.ts";
export { presenceOf } from "./session/presence.ts";
export type { Presence } from "./session/presence.ts";
export { BUSY_HEARTBEAT_MS, openNodeSession, stepNodeSession, WELCOME_TIMEOUT_MS } from "./session/node-session.ts";
export type {
  NodeSession,
  NodeSessionEffect,
  NodeSessionInput,
  NodeSessionStop,
  OnlineNodeSession,
} from "./session/node-session.ts";
export { createPublisher, PUBLISHER_LIMITS, stepPublisher } from "./events/publisher.ts";
export type {
  Publisher,
  PublisherEffect,
  PublisherInput,
  PublisherLimits,
  PublisherLink,
  SeqRange,
} from "./events/publisher.ts";
export { zstdFrameFault, type ZstdFrameLimits } from "./events/zstd-frame.ts";
export { judgeBatch, openIngest, stepIngest } from "./events/ingest.ts";
export type { BatchJudgement, Ingest, IngestEffect, IngestInput } from "./events/ingest.ts";
export {
  dataBytes,
  decodeEvents,
  encodeEvents,
  eventBytes,
  eventCount,
  eventsAfter,
  eventsBehind,
  eventsFrame,
  firstEvents,
  lastOffset,
} from "./events/encoded-events.ts";
export type { EncodedEvents } from "./events/encoded-events.ts";
export { MAX_READ_BYTES, openSubscription, SLOW_CONSUMER_MS, stepSubscription } from "./events/subscription.ts";
export type {
  LogExtent,
  Subscription,
  SubscriptionEffect,
  SubscriptionInput,
  SubscriptionRefusal,
  SubscriptionStart,
} from "./events/subscription.ts";
export { formatCursor, parseCursor } from "./events/cursor.ts";
export type { EventCursor } from "./events/cursor.ts";
export { createSubscriber, stepSubscriber, SUBSCRIBER_WINDOW } from "./events/subscriber.ts";
export type {
  Subscriber,
  SubscriberEffect,
  SubscriberInput,
  SubscriberLink,
  SubscriberOptions,
} from "./events/subscriber.ts";
export { isLeased, isTerminal, queueTask, TASK_LIMITS } from "./task/task-state.ts";
export type {
  AttemptOutcome,
  Lease,
  LeasedTask,
  Task,
  TaskCommon,
  TaskEndReason,
  TaskLimits,
  TerminalTask,
} from "./task/task-state.ts";
export { stepTask } from "./task/lease.ts";
export type { CompletionVerdict, TaskEffect, TaskInput, TaskStep } from "./task/task-step.ts";
