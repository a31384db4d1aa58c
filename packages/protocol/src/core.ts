/**
 * What needs no message schema: values, close codes, errors, machines. A program or thread that never reads a frame, such as a client of the operator API or the gateway's store,
 * starts in half the time with it, because compiling and even loading the schemas takes longer than all else it does.
 */
export { CLOSE_CODES, QUIC_ERRORS, REFUSAL_CODES } from "./transport/close.ts";
export type { CloseInfo } from "./transport/close.ts";
export { VERDICTS } from "./transport/verdicts.ts";
export { worstFinding } from "./diagnosis/checks.ts";
export type { Finding, FindingVerdict } from "./diagnosis/checks.ts";
export { ProtocolError, RemoteError, TransportError } from "./errors.ts";
export { decodeEvents, encodeEvents, eventBytes } from "./events/encoded-events.ts";
export type { EncodedEvents } from "./events/encoded-events.ts";
export type { LoggedEvent } from "./messages/events.ts";
export { formatCursor, parseCursor } from "./events/cursor.ts";
export { decodeValue } from "./cbor/decode.ts";
export { encodeValue } from "./cbor/encode.ts";
export { isValue } from "./cbor/scan.ts";
export { MAX_CHECKPOINT_REVOCATIONS } from "./session/checkpoint.ts";
export { judgeJoin } from "./session/join.ts";
export { isLeased, TASK_LIMITS } from "./task/task-state.ts";
export { stepTask } from "./task/lease.ts";
