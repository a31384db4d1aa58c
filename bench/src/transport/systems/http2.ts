/** node:http2, TLS 1.3, a POST per stream; frames inside, as HTTP/2 has no messages. */
import { connect, createSecureServer, type ClientHttp2Session, type ServerHttp2Stream } from "node:http2";
import { once } from "node:events";
import { createSecureContext } from "node:tls";
import { FrameDecoder } from "@quaymesh/protocol";
import { ANSWER, REQUEST, checkAnswer, decode, decodeCount, encodeCount, framed } from "../payload.ts";
import { Drain } from "./drain.ts";
import type { BenchClient, BenchServer, Dial, DialerOptions, ServeOptions, Sink, System } from "./system.ts";

const HOST = "127.0.0.1";
const WINDOW_BYTES = 16 << 20;
const SETTINGS = { initialWindowSize: WINDOW_BYTES, maxConcurrentStreams: 1000, maxFrameSize: 65_536 };
const BACKLOG = 4096;
const REQUEST_FRAME = framed(REQUEST);
const ANSWER_FRAME = framed(ANSWER);

/** The system. */
export const http2: System = { serve, dialer };

async function serve({ tls }: ServeOptions): Promise<BenchServer> {
  const server = createSecureServer({
    key: tls.keyPem,
    cert: tls.chainPem,
    ca: tls.rootPem,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.3",
    settings: SETTINGS,
  });
  let sessions = 0;
  server.on("session", (session) => {
    session.setLocalWindowSize(WINDOW_BYTES);
    sessions++;
    session.on("close", () => sessions--);
  });
  server.on("stream", (stream, headers) => answer(stream, headers[":path"] ?? ""));
  server.listen(0, HOST, BACKLOG);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("http2 listens on no port");
  return {
    ports: { default: address.port, "1350": address.port },
    connections: () => sessions,
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}

function answer(stream: ServerHttp2Stream, path: string): void {
  stream.on("error", (error) => process.stderr.write(`http2 server stream: ${error.message}\n`));
  stream.respond({ ":status": 200 });
  const frames = new FrameDecoder();
  let count = 0;
  switch (path) {
    case "/unary":
      stream.on("data", (chunk: Buffer) => {
        for (const body of frames.push(chunk)) {
          decode(body);
          stream.end(ANSWER_FRAME);
        }
      });
      return;
    case "/events":
      stream.on("data", (chunk: Buffer) => {
        for (const body of frames.push(chunk)) {
          decode(body);
          count++;
        }
      });
      break;
    default:
      stream.on("data", (chunk: Buffer) => {
        count += chunk.length;
      });
  }
  stream.on("end", () => stream.end(framed(encodeCount(count))));
}

function dialer({ tls, ports }: DialerOptions): () => Dial {
  const secureContext = createSecureContext({ key: tls.keyPem, cert: tls.chainPem, ca: tls.rootPem });
  return () => async () => {
    const session = connect(`https://${tls.serverName}:${String(ports.default)}`, {
      host: HOST,
      servername: tls.serverName,
      secureContext,
      minVersion: "TLSv1.3",
      settings: SETTINGS,
    });
    await once(session, "connect");
    session.setLocalWindowSize(WINDOW_BYTES);
    return new Http2Client(session);
  };
}

class Http2Client implements BenchClient {
  readonly #session: ClientHttp2Session;

  constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  async unary(): Promise<void> {
    const stream = this.#request("/unary");
    stream.end(REQUEST_FRAME);
    checkAnswer(await firstFrame(stream));
  }

  async openEvents(): Promise<Sink> {
    return this.#sink("/events", (event) => framed(event));
  }

  async openBulk(): Promise<Sink> {
    return this.#sink("/bulk", (chunk) => chunk);
  }

  #sink(path: string, wrap: (bytes: Uint8Array) => Uint8Array): Sink {
    const stream = this.#request(path);
    const drain = new Drain(stream);
    const counted = firstFrame(stream);
    return {
      write: (bytes) => drain.write(wrap(bytes)),
      finish: async () => {
        stream.end();
        return decodeCount(await counted);
      },
    };
  }

  #request(path: string) {
    return this.#session.request({ ":method": "POST", ":path": path });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session.destroyed) return;
    await new Promise<void>((closed) => this.#session.close(closed));
  }
}

/** The first frame of an answer, once its stream has ended. */
function firstFrame(stream: ReturnType<ClientHttp2Session["request"]>): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const frames = new FrameDecoder();
    let first: Uint8Array | undefined;
    stream.on("data", (chunk: Buffer) => {
      first ??= frames.push(chunk)[0];
    });
    stream.on("end", () => (first === undefined ? reject(new Error("http2: no answer")) : resolve(first)));
    stream.on("error", reject);
  });
}
