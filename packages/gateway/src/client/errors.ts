import { errorReason, reasonOf } from "./reason.ts";

/**
 * Codes the client itself gives; every other code is the reason the gateway put on its error, such as
 * `DEVICE_NOT_FOUND`, an open set that grows with the gateway.
 */
export type ClientErrorCode =
  /** Nothing answers on the admin socket. */
  | "GATEWAY_UNREACHABLE"
  /** The connection broke in the middle of a call. */
  | "GATEWAY_GONE"
  /** The client was disposed of while the call was under way. */
  | "CLIENT_CLOSED"
  /** The socket's owner is somebody else. */
  | "PERMISSION_DENIED"
  /** The input does not fit the definition's schema; nothing was sent. */
  | "INPUT_INVALID"
  /** The input is larger than a gateway takes. */
  | "INPUT_TOO_LARGE"
  /** The task succeeded, but its output does not fit the definition's schema. */
  | "OUTPUT_INVALID"
  /** An event does not fit the schema that was given for it. */
  | "EVENT_INVALID"
  /** A cursor cannot be read; nothing was sent. */
  | "CURSOR_INVALID"
  /** The task ended without success: its own error is in `message`, its state in `metadata`. */
  | "TASK_FAILED"
  | "TASK_CANCELLED"
  | "TASK_TIMED_OUT"
  | "TASK_DEAD"
  /** The gateway's answer makes no sense to this client. */
  | "RESPONSE_INVALID"
  | (string & {});

/** A call of the operator API failed. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: ClientErrorCode;
  /** What to do about it, one sentence; empty when there is nothing to advise. */
  readonly hint: string;
  /** Facts the code defines. */
  readonly metadata: Readonly<Record<string, string>>;
  constructor(
    code: ClientErrorCode,
    message: string,
    options?: ErrorOptions & { readonly hint?: string; readonly metadata?: Readonly<Record<string, string>> },
  ) {
    super(message, options);
    this.code = code;
    this.hint = options?.hint ?? "";
    this.metadata = options?.metadata ?? {};
  }
}

/**
 * What a failed call means. An abort by the caller's own `signal` is rethrown as its reason.
 * @param where the admin socket, for the message
 */
export function clientError(cause: unknown, where: string, signal?: AbortSignal): unknown {
  if (signal?.aborted === true) return signal.reason;
  if (cause instanceof ClientError) return cause;
  const socket = socketError(cause, where);
  if (socket !== undefined) return socket;
  const { code, message } = errorReason(cause);
  const { hint, metadata } = reasonOf(cause);
  return new ClientError(code, message, { cause, hint, metadata });
}

function socketError(cause: unknown, where: string): ClientError | undefined {
  switch (errno(cause)) {
    case "ENOENT":
    case "ECONNREFUSED":
    case "ENOTDIR":
      return new ClientError("GATEWAY_UNREACHABLE", `no gateway answers on ${where}`, {
        cause,
        hint: "Start it with `quaymesh gateway run`, or name its state directory with --state.",
      });
    case "EACCES":
    case "EPERM":
      return new ClientError("PERMISSION_DENIED", `you may not use ${where}`, {
        cause,
        hint: "Run this as the user the gateway runs as.",
      });
    case "ECONNRESET":
    case "EPIPE":
      return new ClientError("GATEWAY_GONE", `the gateway on ${where} went away during the call`, {
        cause,
        hint: "It may be restarting; try again.",
      });
    default:
      return undefined;
  }
}

/** The system error code somewhere below `cause`. */
function errno(cause: unknown): string | undefined {
  for (let error = cause, depth = 0; error instanceof Error && depth < 8; error = error.cause, depth += 1) {
    if ("syscall" in error && "code" in error && typeof error.code === "string") return error.code;
    if ("code" in error && error.code === "ECONNRESET") return error.code;
  }
  return undefined;
}
