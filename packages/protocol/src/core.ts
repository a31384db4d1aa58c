/**
 * What needs no message schema: values, close codes, errors. A program that never reads a frame, such as a client of the operator API, starts in half the time with it,
 * because compiling and even loading the schemas takes longer than all else it does.
 */
export { CLOSE_CODES, QUIC_ERRORS, REFUSAL_CODES } from "./transport/close.ts";
export type { CloseInfo } from "./transport/close.ts";
export { VERDICTS } from "./transport/verdicts.ts";
export { worstFinding } from "./diagnosis/checks.ts";
export type { Finding, FindingVerdict } from "./diagnosis/checks.ts";
export { ProtocolError, RemoteError, TransportError } from "./errors.ts";
export { formatCursor, parseCursor } from "./events/cursor.ts";
export { decodeValue } from "./cbor/decode.ts";
export { encodeValue } from "./cbor/encode.ts";
