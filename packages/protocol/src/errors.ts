import type { CloseInfo } from "./transport/close.ts";

/**
 * Codes of {@link ProtocolError}. All of them say that the *peer* sent what it must not, except `VALUE_UNENCODABLE`
 * (the caller's fault). `METHOD_UNKNOWN`, `VERSION_UNSUPPORTED` and `MESSAGE_INVALID` are answered with an error frame
 * first.
 */
export type ProtocolErrorCode =
  | "FRAME_TOO_LARGE"
  | "FRAME_EMPTY"
  | "FRAME_TRUNCATED"
  | "CBOR_INVALID"
  | "MESSAGE_INVALID"
  | "VERSION_UNSUPPORTED"
  | "METHOD_UNKNOWN"
  | "STATE_INVALID"
  | "VALUE_UNENCODABLE";

/** The peer broke the wire protocol, or a value cannot be put on it. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code: ProtocolErrorCode;
  constructor(code: ProtocolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Codes of {@link TransportError}. Ours or the machine's: `ADDRESS_*`, `BINDING_UNAVAILABLE`; the caller's:
 * `CREDENTIALS_INVALID`, `STREAM_ENDED`, `TRANSPORT_CLOSED`; the network's or the peer's: the rest.
 */
export type TransportErrorCode =
  | "ADDRESS_IN_USE"
  | "ADDRESS_UNAVAILABLE"
  | "BINDING_UNAVAILABLE"
  | "CREDENTIALS_INVALID"
  | "UNREACHABLE"
  | "HANDSHAKE_TIMEOUT"
  | "PEER_REFUSED"
  | "CONNECTION_CLOSED"
  | "STREAM_RESET"
  | "STREAM_ENDED"
  | "TRANSPORT_CLOSED";

/** A connection or stream could not be opened or did not last. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly code: TransportErrorCode;
  /** How the connection ended, where it did. */
  readonly close: CloseInfo | undefined;
  /** The application code of a stream reset. */
  readonly resetCode: number | undefined;
  /** Of a dial that failed: its name on both sides, as `Connection.attempt`. */
  readonly attempt: string | undefined;
  constructor(
    code: TransportErrorCode,
    message: string,
    options?: ErrorOptions & { readonly close?: CloseInfo; readonly resetCode?: number; readonly attempt?: string },
  ) {
    super(message, options);
    this.code = code;
    this.close = options?.close;
    this.resetCode = options?.resetCode;
    this.attempt = options?.attempt;
  }
}

/** The peer answered with an error frame. */
export class RemoteError extends Error {
  override readonly name = "RemoteError";
  /** The code the peer gave; an open set, see docs/wire.md, "Error codes". */
  readonly code: string;
  readonly retryAfterMs: number | undefined;
  /** Further facts the code defines, such as `earliest`. */
  readonly details: Readonly<Record<string, unknown>>;
  constructor(
    code: string,
    message: string,
    options?: ErrorOptions & { readonly retryAfterMs?: number; readonly details?: Record<string, unknown> },
  ) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options?.retryAfterMs;
    this.details = options?.details ?? {};
  }
}
