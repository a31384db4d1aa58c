/** The client's connection to the admin socket. */
import { Agent } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ClientError, clientError } from "./errors.ts";

/** How calls reach the gateway and how their failures are named. */
export interface Wire {
  readonly transport: Transport;
  /** Run a unary call. @throws {ClientError} */
  call<T>(run: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Run a streaming call; leaving the loop cancels it. @throws {ClientError} */
  stream<T, R>(
    run: (signal: AbortSignal) => AsyncIterable<T>,
    map: (message: T) => R,
    signal?: AbortSignal,
  ): AsyncGenerator<R, void, undefined>;
  /** Wait before trying again. @throws `signal.reason`, {ClientError} `CLIENT_CLOSED` */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
  /** Aborts every call under way. */
  close(): void;
}

/**
 * Calls go over HTTP/1.1, each on a connection that is its own for as long as it takes: a subscription that reads slowly then holds back nobody else, which it would through HTTP/2's shared
 * window. The next call takes a connection that is free: to open one takes longer than a small call.
 */
export function openWire(socketPath: string): Wire {
  const agent = new Agent({ keepAlive: true });
  const closing = new AbortController();
  const transport = createConnectTransport({
    baseUrl: "http://quaymesh.local",
    httpVersion: "1.1",
    nodeOptions: { socketPath, agent },
    // Within one machine it costs more than it saves.
    acceptCompression: [],
    interceptors: [
      (next) => (request) => next({ ...request, signal: AbortSignal.any([request.signal, closing.signal]) }),
    ],
  });
  const failure = (cause: unknown, signal: AbortSignal | undefined): unknown =>
    closing.signal.aborted ? closing.signal.reason : clientError(cause, socketPath, signal);
  return {
    transport,
    async call(run, signal) {
      try {
        return await run();
      } catch (cause) {
        throw failure(cause, signal);
      }
    },
    async *stream(run, map, signal) {
      const left = new AbortController();
      try {
        for await (const message of run(signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]))) {
          yield map(message);
        }
      } catch (cause) {
        throw failure(cause, signal);
      } finally {
        left.abort();
      }
    },
    async pause(ms, signal) {
      const both = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
      await delay(ms, undefined, { signal: both }).catch(() => undefined);
      both.throwIfAborted();
    },
    close() {
      closing.abort(new ClientError("CLIENT_CLOSED", "this client was closed during the call"));
      agent.destroy();
    },
  };
}
