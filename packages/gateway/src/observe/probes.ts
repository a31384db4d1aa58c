/** `GET /metrics`, `/healthz` and `/readyz`, on whatever server they are asked for. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequestListener } from "../api/request-listener.ts";
import type { Readiness } from "../core-views.ts";
import type { Logger } from "../logger.ts";
import type { GatewayMetrics } from "./metrics.ts";

/** What the probes answer from. */
export interface ProbeParts {
  readonly metrics: Pick<GatewayMetrics, "contentType" | "text">;
  readonly readiness: () => Readiness;
  readonly logger: Logger;
}

/** What is used of a request of either HTTP version. */
interface ProbeRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
}

/** What is used of a response of either HTTP version. */
interface ProbeResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const PLAIN = "text/plain; charset=utf-8";
const PATHS: ReadonlySet<string> = new Set(["/metrics", "/healthz", "/readyz"]);

const text = (status: number, body: string): Answer => ({ status, type: PLAIN, body: `${body}\n` });

/** The part of a request's URL before its query. */
const pathOf = (url: string | undefined): string => (url ?? "/").split("?", 1)[0] ?? "/";

/** Answer the probes, and hand every other request to `next`. */
export function withProbes(parts: ProbeParts, next: RequestListener): RequestListener {
  return (request, response) => {
    if (PATHS.has(pathOf(request.url))) void respond(parts, request, response);
    else next(request, response);
  };
}

/** Answer the probes, and nothing else. */
export function probesOnly(parts: ProbeParts): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => void respond(parts, request, response);
}

/** Never rejects. */
async function respond(parts: ProbeParts, request: ProbeRequest, response: ProbeResponse): Promise<void> {
  const isRead = request.method === "GET" || request.method === "HEAD";
  const { status, type, body } = isRead ? await answer(parts, pathOf(request.url)) : text(405, "GET or HEAD only");
  response.statusCode = status;
  response.setHeader("content-type", type);
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  if (!isRead) response.setHeader("allow", "GET, HEAD");
  // Node sends no body in answer to HEAD.
  response.end(body);
}

async function answer({ metrics, readiness, logger }: ProbeParts, path: string): Promise<Answer> {
  switch (path) {
    case "/healthz":
      // That it answers is the answer: the event loop turns.
      return text(200, "ok");
    case "/readyz": {
      const state = readiness();
      return state.kind === "ready" ? text(200, "ready") : text(503, state.reason);
    }
    case "/metrics":
      try {
        return { status: 200, type: metrics.contentType, body: await metrics.text() };
      } catch (error) {
        logger.warn({ error }, "metrics could not be collected");
        return text(503, "the gateway cannot be asked now");
      }
    default:
      return text(404, "here are /metrics, /healthz and /readyz");
  }
}
