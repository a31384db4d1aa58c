import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { ErrorReasonSchema } from "@quaymesh/api";
import { GATEWAY_ERRORS, GatewayError, type ConnectCode } from "../errors.ts";
import type { Logger } from "../logger.ts";

const CODES: Readonly<Record<ConnectCode, Code>> = {
  canceled: Code.Canceled,
  invalid_argument: Code.InvalidArgument,
  deadline_exceeded: Code.DeadlineExceeded,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  permission_denied: Code.PermissionDenied,
  resource_exhausted: Code.ResourceExhausted,
  failed_precondition: Code.FailedPrecondition,
  aborted: Code.Aborted,
  out_of_range: Code.OutOfRange,
  unimplemented: Code.Unimplemented,
  internal: Code.Internal,
  unavailable: Code.Unavailable,
  data_loss: Code.DataLoss,
  unauthenticated: Code.Unauthenticated,
};

/** A gateway error as the API says it: the Connect code, and an `ErrorReason` with code, hint and facts. */
export function connectError(error: GatewayError): ConnectError {
  const { connect, hint } = GATEWAY_ERRORS[error.code];
  const detail = { desc: ErrorReasonSchema, value: { reason: error.code, hint, metadata: { ...error.metadata } } };
  return new ConnectError(error.message, CODES[connect], undefined, [detail], error);
}

/**
 * Turns what handlers throw into Connect errors. What is neither ours nor Connect's is a fault of this program: it is logged whole and
 * told without its text, which may hold anything.
 */
export function translateErrors(logger: Logger): Interceptor {
  return (next) => async (request) => {
    const translate = (cause: unknown): unknown => {
      if (cause instanceof GatewayError) {
        if (cause.code === "GATEWAY_INTERNAL")
          logger.error({ err: cause, method: request.method.name }, "a call failed");
        return connectError(cause);
      }
      if (cause instanceof ConnectError) return cause;
      if (request.signal.aborted) return ConnectError.from(request.signal.reason, Code.Canceled);
      logger.error({ err: cause, method: request.method.name }, "a call failed");
      return connectError(new GatewayError("GATEWAY_INTERNAL", "the gateway failed at this call", { cause }));
    };
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: translated(response.message, translate) };
    } catch (cause) {
      throw translate(cause);
    }
  };
}

async function* translated<T>(messages: AsyncIterable<T>, translate: (cause: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (cause) {
    throw translate(cause);
  }
}
