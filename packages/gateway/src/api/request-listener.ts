/** Connect's handlers on Node's HTTP servers. */
import { Code, ConnectError, createConnectRouter, createContextValues, type ConnectRouter } from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
  type connectNodeAdapter,
} from "@connectrpc/connect-node";
import { errnoOf } from "../daemon/errno.ts";
import type { Logger } from "../logger.ts";
import { Appending, appendingKey, canAppend, withAppended } from "./appended-bytes.ts";
import { callerKey, type Caller } from "./permissions.ts";

/** Serves a request of Node's HTTP/1.1 or HTTP/2 server. */
export type RequestListener = ReturnType<typeof connectNodeAdapter>;
type NodeRequest = Parameters<RequestListener>[0];
type NodeResponse = Parameters<RequestListener>[1];
type Handler = ConnectRouter["handlers"][number];

const NOT_FOUND = 404;

/** Options of {@link requestListener}. */
export interface RequestListenerOptions extends Omit<
  NonNullable<Parameters<typeof createConnectRouter>[0]>,
  "acceptCompression"
> {
  readonly routes: (router: ConnectRouter) => void;
  /** Who calls. */
  readonly caller: Caller;
  readonly logger: Logger;
}

/** As Connect's own adapter, but for what {@link Appending} carries, and for clients that leave: they are no fault, and nothing is printed of them. */
export function requestListener({ routes, caller, logger, ...options }: RequestListenerOptions): RequestListener {
  const router = createConnectRouter({ ...options, acceptCompression: [compressionGzip, compressionBrotli] });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const handler = handlers.get(request.url?.split("?", 1)[0] ?? "");
    if (handler === undefined) {
      response.writeHead(NOT_FOUND);
      response.end();
      return;
    }
    answer(handler, { request, response, caller }).catch((cause: unknown) => {
      if (hasLeft(cause)) return;
      logger.error({ err: cause, method: handler.method.name }, "a call's answer could not be written");
    });
  };
}

interface Call {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly caller: Caller;
}

async function answer(handler: Handler, { request, response, caller }: Call): Promise<void> {
  const values = createContextValues().set(callerKey, caller);
  const appending = canAppend(request) ? new Appending() : undefined;
  values.set(appendingKey, appending);
  const answered = await handler(universalRequestFromNodeRequest(request, response, undefined, values));
  if (appending === undefined || answered.body === undefined) {
    return universalResponseToNodeResponse(answered, response);
  }
  const isWritten = (): boolean => !response.destroyed && response.writableLength === 0;
  const body = withAppended(answered.body, appending, isWritten);
  return universalResponseToNodeResponse({ ...answered, body }, response);
}

/** Connect knows a client that left by `ECONNRESET` and by a stream that was destroyed, not by a write that comes too late. */
function hasLeft(cause: unknown): boolean {
  const error = ConnectError.from(cause);
  return error.code === Code.Aborted || errnoOf(error.cause) === "EPIPE";
}
