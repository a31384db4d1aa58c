/** HTTP/1.1 and HTTP/2 in clear on one socket, told apart by their first bytes. */
import { createServer as createHttp1Server, type Server as Http1Server, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { CallTurns } from "./call-turns.ts";
import type { RequestListener } from "./request-listener.ts";

/** `PRI `. RFC 9113 section 3.4: every HTTP/2 connection begins so, and no HTTP/1 method is called that. */
const HTTP2_PREFACE = Buffer.of(0x50, 0x52, 0x49, 0x20);
/** From connecting to the first bytes. */
const FIRST_BYTES_TIMEOUT_MS = 10_000;
/** Window of a stream: with the default of 64 KiB a large input crosses in a thousand round trips. */
const HTTP2_WINDOW_BYTES = 4_194_304;

/** Calls of one connection at once. Of HTTP/2 what more a client wants waits with the client; one that pipelines more over HTTP/1.1 is gone. */
const MAX_CALLS = 256;
const HTTP2_SETTINGS = { initialWindowSize: HTTP2_WINDOW_BYTES, maxConcurrentStreams: MAX_CALLS };
/** How long a connection may be free: longer than a client's process sleeps, which would else use one that is gone. */
const KEEP_ALIVE_MS = 600_000;

/** Serves requests of both versions on sockets that are handed to it. */
export class HttpVersions {
  readonly #http1: Http1Server;
  readonly #http2: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #calls = new CallTurns();
  /** Of connections that have said which version they speak: what has come of HTTP/2 until then is read in one go, hundreds of calls. */
  readonly #arrivals = new CallTurns();
  /** Calls under way per connection. Node keeps such a list only for servers that listen themselves. */
  readonly #http1Calls = new Map<Socket, number>();
  /** Connections that have not said which version they speak. */
  readonly #undecided = new Set<Socket>();
  #closing = false;

  constructor(listener: RequestListener) {
    this.#http1 = createHttp1Server({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      if (this.#countHttp1(request.socket, response) > MAX_CALLS) {
        request.socket.destroy();
        return;
      }
      this.#calls.take(request.socket, () => {
        if (!request.destroyed) listener(request, response);
      });
    });
    this.#http2 = createHttp2Server({ settings: HTTP2_SETTINGS }, (request, response) => {
      const { stream } = request;
      this.#calls.take(stream.session ?? stream, () => {
        // Whoever has left while it waited costs no more.
        if (!stream.destroyed) listener(request, response);
      });
    });
    this.#http2.on("session", (session) => {
      session.setLocalWindowSize(HTTP2_WINDOW_BYTES);
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
    });
    // A client's broken connection is the client's affair; without listeners it would be the process's.
    this.#http2.on("sessionError", () => {});
    this.#http1.on("clientError", (_error, socket) => socket.destroy());
  }

  /** Take a new socket over. */
  serve(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    socket.setTimeout(FIRST_BYTES_TIMEOUT_MS, () => socket.destroy());
    this.#undecided.add(socket);
    socket.once("close", () => this.#undecided.delete(socket));
    let seen: Buffer = Buffer.alloc(0);
    const onReadable = () => {
      const more: Buffer | null = socket.read();
      if (more === null) return;
      seen = seen.length === 0 ? more : Buffer.concat([seen, more]);
      const length = Math.min(seen.length, HTTP2_PREFACE.length);
      const isHttp2 = seen.subarray(0, length).equals(HTTP2_PREFACE.subarray(0, length));
      if (isHttp2 && length < HTTP2_PREFACE.length) return;
      socket.removeListener("readable", onReadable);
      socket.setTimeout(0);
      socket.removeAllListeners("timeout");
      socket.unshift(seen);
      this.#arrivals.take(socket, () => this.#take(socket, isHttp2));
    };
    socket.on("readable", onReadable);
  }

  /** Stop: connections without a call end now, the others when their calls have. */
  closeIdle(): void {
    this.#closing = true;
    for (const socket of this.#undecided) socket.destroy();
    for (const [socket, calls] of this.#http1Calls) if (calls === 0) socket.destroy();
    for (const session of this.#sessions) session.close();
  }

  #take(socket: Socket, isHttp2: boolean): void {
    this.#undecided.delete(socket);
    if (socket.destroyed) return;
    if (isHttp2) {
      this.#http2.emit("connection", socket);
      return;
    }
    this.#http1Calls.set(socket, 0);
    socket.once("close", () => this.#http1Calls.delete(socket));
    this.#http1.emit("connection", socket);
  }

  /** @returns how many calls of the connection are under way, with this one */
  #countHttp1(socket: Socket, response: ServerResponse): number {
    const add = (calls: number): number => {
      const now = (this.#http1Calls.get(socket) ?? 0) + calls;
      if (!socket.destroyed) this.#http1Calls.set(socket, now);
      if (this.#closing && now === 0) socket.end();
      return now;
    };
    response.once("close", () => add(-1));
    return add(1);
  }
}
