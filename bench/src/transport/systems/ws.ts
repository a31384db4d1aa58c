/**
 * ws over TLS 1.3. One socket for each connection: requests carry an id, as WebSocket has no streams of its own; what follows the text `events` or `bulk`, up to the text
 * `end`, is a stream. Both ends watch over the connection as ours do: the client pings when its period is over, the server ends what has long been silent.
 */
import { once } from "node:events";
import { createServer } from "node:https";
import { createSecureContext, type ConnectionOptions, type SecureContext } from "node:tls";
import { WebSocket, WebSocketServer, type ClientOptions, type RawData } from "ws";
import { ANSWER, REQUEST, checkAnswer, decode, decodeCount, encodeCount } from "../payload.ts";
import type { BenchClient, BenchServer, Dial, DialerOptions, ServeOptions, Sink, System } from "./system.ts";

const HOST = "127.0.0.1";
const BACKLOG = 4096;
const ID_BYTES = 4;
/** Bytes that may wait to be written before a writer does. */
const HIGH_WATER_BYTES = 1 << 20;
const MAX_MESSAGE_BYTES = 1 << 20;
/** As our transport has it with its default idle timeout. */
const KEEP_ALIVE_MS = 10_000;
const IDLE_TIMEOUT_MS = 30_000;

/** The system. */
export const ws: System = { serve, dialer };

async function serve({ tls }: ServeOptions): Promise<BenchServer> {
  const server = createServer({
    key: tls.keyPem,
    cert: tls.chainPem,
    ca: tls.rootPem,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.3",
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
  const heard = new Set<WebSocket>();
  sockets.on("connection", (socket) => {
    heard.add(socket);
    socket.on("ping", () => heard.add(socket));
    answer(socket);
  });
  const sweep = setInterval(() => {
    for (const socket of sockets.clients) if (!heard.delete(socket)) socket.terminate();
  }, IDLE_TIMEOUT_MS);
  server.listen(0, HOST, BACKLOG);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("ws listens on no port");
  return {
    ports: { default: address.port, "1350": address.port },
    connections: () => sockets.clients.size,
    [Symbol.asyncDispose]: async () => {
      clearInterval(sweep);
      for (const socket of sockets.clients) socket.terminate();
      server.close();
    },
  };
}

function answer(socket: WebSocket): void {
  let take = answerOne;
  let count = 0;
  socket.on("error", (error) => process.stderr.write(`ws server: ${error.message}\n`));
  socket.on("message", (data: RawData, isBinary: boolean) => {
    const bytes = bufferOf(data);
    if (isBinary) return take(socket, bytes);
    switch (bytes.toString()) {
      case "events":
        take = (_socket, message) => {
          decode(message);
          count++;
        };
        return;
      case "bulk":
        take = (_socket, message) => {
          count += message.length;
        };
        return;
      default:
        socket.send(withId(0, encodeCount(count)));
        take = answerOne;
        count = 0;
    }
  });
}

function answerOne(socket: WebSocket, message: Buffer): void {
  decode(message.subarray(ID_BYTES));
  socket.send(withId(message.readUInt32BE(), ANSWER));
}

function withId(id: number, body: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(ID_BYTES + body.length);
  message.writeUInt32BE(id);
  message.set(body, ID_BYTES);
  return message;
}

function bufferOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  throw new TypeError("ws gave something else than a buffer");
}

function dialer({ tls, ports }: DialerOptions): () => Dial {
  const secureContext = createSecureContext({ key: tls.keyPem, cert: tls.chainPem, ca: tls.rootPem });
  return () => () => WsClient.open(ports.default, tls.serverName, secureContext);
}

class WsClient implements BenchClient {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Buffer>>();
  readonly #keepAlive: NodeJS.Timeout;
  /** 0 is the answer to a stream. */
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.#keepAlive = setInterval(() => socket.ping(), KEEP_ALIVE_MS);
    socket.on("message", (data: RawData) => {
      const message = bufferOf(data);
      const id = message.readUInt32BE();
      this.#waiting.get(id)?.resolve(message.subarray(ID_BYTES));
      this.#waiting.delete(id);
    });
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("ws: the connection closed")));
  }

  static async open(port: number, servername: string, secureContext: SecureContext): Promise<WsClient> {
    // It hands over to TLS what it does not know itself.
    const options: ClientOptions & ConnectionOptions = {
      servername,
      secureContext,
      minVersion: "TLSv1.3",
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
    };
    const socket = new WebSocket(`wss://${HOST}:${String(port)}/`, options);
    await once(socket, "open");
    return new WsClient(socket);
  }

  async unary(): Promise<void> {
    const id = (this.#lastId = (this.#lastId % 0xffff_ffff) + 1);
    const answered = this.#answerTo(id);
    this.#socket.send(withId(id, REQUEST));
    checkAnswer(await answered);
  }

  async openEvents(): Promise<Sink> {
    return this.#sink("events");
  }

  async openBulk(): Promise<Sink> {
    return this.#sink("bulk");
  }

  #sink(kind: "events" | "bulk"): Sink {
    const socket = this.#socket;
    const counted = this.#answerTo(0);
    socket.send(kind);
    return {
      write: (bytes) => {
        if (socket.bufferedAmount < HIGH_WATER_BYTES) {
          socket.send(bytes);
          return undefined;
        }
        return new Promise((resolve, reject) => {
          socket.send(bytes, (error) => (error == null ? resolve() : reject(error)));
        });
      },
      finish: async () => {
        socket.send("end");
        return decodeCount(await counted);
      },
    };
  }

  async #answerTo(id: number): Promise<Buffer> {
    const waiting = Promise.withResolvers<Buffer>();
    this.#waiting.set(id, waiting);
    return await waiting.promise;
  }

  #end(error: Error): void {
    clearInterval(this.#keepAlive);
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = once(this.#socket, "close");
    this.#socket.close();
    await closed;
  }
}
