/**
 * QUICServer and QUICClient of @matrixai/quic: the JavaScript layer that comes with the binding we use, with its own sockets, streams and timers. Frames inside, as in ours.
 * It keeps memory of what is closed, and a send error ends its process: then the runner reports the row as failed.
 */
import { createHmac, randomBytes, randomFillSync, timingSafeEqual } from "node:crypto";
import Logger, { LogLevel } from "@matrixai/logger";
import { QUICClient, QUICServer, events, type QUICStream } from "@matrixai/quic";
import { FrameDecoder } from "@quaymesh/protocol";
import { ANSWER, REQUEST, checkAnswer, decode, decodeCount, encodeCount, framed } from "../payload.ts";
import type {
  BenchClient,
  BenchServer,
  Datagrams,
  Dial,
  DialerOptions,
  ServeOptions,
  Sink,
  System,
  TlsMaterial,
} from "./system.ts";

const HOST = "127.0.0.1";
const KEY_BYTES = 32;
const DIAL_MS = 10_000;
/** The first byte of a stream says what it carries. */
const KINDS = { unary: 1, events: 2, bulk: 3 } as const;
const REQUEST_BYTES = Uint8Array.of(KINDS.unary, ...framed(REQUEST));
const ANSWER_FRAME = framed(ANSWER);

const logger = new Logger("jsquic", LogLevel.SILENT, []);

/** The system. */
export const jsquic: System = { serve, dialer };

/** Windows as the other peers'; what is not named stays as the package has it, 1200-byte datagrams among it. */
const configOf = (tls: TlsMaterial, datagrams: Datagrams) => ({
  key: tls.keyPem,
  cert: tls.chainPem,
  ca: tls.rootPem,
  verifyPeer: true,
  applicationProtos: ["quaymesh-bench/1"],
  maxIdleTimeout: 30_000,
  keepAliveIntervalTime: 10_000,
  enableEarlyData: false,
  initialMaxStreamsBidi: 1000,
  initialMaxData: 16 << 20,
  initialMaxStreamDataBidiLocal: 4 << 20,
  initialMaxStreamDataBidiRemote: 4 << 20,
  ...(datagrams === "1350" && { maxSendUdpPayloadSize: 1350 }),
});

async function serve({ tls }: ServeOptions): Promise<BenchServer> {
  const server = new QUICServer({
    crypto: { key: arrayBufferOf(randomBytes(KEY_BYTES)), ops: { sign, verify } },
    config: configOf(tls, "default"),
    logger,
  });
  let connections = 0;
  server.addEventListener(events.EventQUICServerConnection.name, (event: unknown) => {
    if (!(event instanceof events.EventQUICServerConnection)) return;
    connections++;
    event.detail.addEventListener(events.EventQUICConnectionStopped.name, () => connections--);
    event.detail.addEventListener(events.EventQUICConnectionStream.name, (opened: unknown) => {
      if (opened instanceof events.EventQUICConnectionStream) void serveStream(opened.detail).catch(report);
    });
  });
  await server.start({ host: HOST, port: 0 });
  return {
    ports: { default: server.port, "1350": server.port },
    connections: () => connections,
    [Symbol.asyncDispose]: () => server.stop({ force: true }),
  };
}

function report(error: unknown): void {
  process.stderr.write(`jsquic server: ${error instanceof Error ? error.message : String(error)}\n`);
}

async function sign(key: ArrayBuffer, data: ArrayBuffer): Promise<ArrayBuffer> {
  return arrayBufferOf(mac(key, data));
}

async function verify(key: ArrayBuffer, data: ArrayBuffer, signature: ArrayBuffer): Promise<boolean> {
  const expected = mac(key, data);
  return signature.byteLength === expected.length && timingSafeEqual(new Uint8Array(signature), expected);
}

const mac = (key: ArrayBuffer, data: ArrayBuffer): Buffer =>
  createHmac("sha256", new Uint8Array(key)).update(new Uint8Array(data)).digest();

const arrayBufferOf = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

async function serveStream(stream: QUICStream): Promise<void> {
  const frames = new FrameDecoder();
  let kind: number | undefined;
  let count = 0;
  for await (const chunk of stream.readable) {
    const rest = kind === undefined ? chunk.subarray(1) : chunk;
    kind ??= chunk[0];
    if (kind === KINDS.bulk) {
      count += rest.length;
      continue;
    }
    for (const body of frames.push(rest)) {
      decode(body);
      count++;
    }
  }
  const writer = stream.writable.getWriter();
  await writer.write(kind === KINDS.unary ? ANSWER_FRAME : framed(encodeCount(count)));
  await writer.close();
}

function dialer({ tls, ports }: DialerOptions): (datagrams: Datagrams) => Dial {
  return (datagrams) => async () => {
    const options = {
      host: HOST,
      port: ports[datagrams],
      localHost: HOST,
      serverName: tls.serverName,
      crypto: {
        ops: {
          randomBytes: async (bytes: ArrayBuffer) => {
            randomFillSync(new Uint8Array(bytes));
          },
        },
      },
      config: configOf(tls, datagrams),
      logger,
    };
    return new JsQuicClient(await QUICClient.createQUICClient(options, { timer: DIAL_MS }));
  };
}

class JsQuicClient implements BenchClient {
  readonly #client: QUICClient;

  constructor(client: QUICClient) {
    this.#client = client;
  }

  async unary(): Promise<void> {
    const stream = this.#client.connection.newStream("bidi");
    const writer = stream.writable.getWriter();
    await writer.write(REQUEST_BYTES);
    await writer.close();
    checkAnswer(await onlyFrame(stream));
  }

  async openEvents(): Promise<Sink> {
    return await this.#sink(KINDS.events, (event) => framed(event));
  }

  async openBulk(): Promise<Sink> {
    return await this.#sink(KINDS.bulk, (chunk) => chunk);
  }

  async #sink(kind: number, wrap: (bytes: Uint8Array) => Uint8Array): Promise<Sink> {
    const stream = this.#client.connection.newStream("bidi");
    const writer = stream.writable.getWriter();
    await writer.write(Uint8Array.of(kind));
    return {
      write: (bytes) => writer.write(wrap(bytes)),
      finish: async () => {
        await writer.close();
        return decodeCount(await onlyFrame(stream));
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.destroy({ force: true });
  }
}

async function onlyFrame(stream: QUICStream): Promise<Uint8Array> {
  const frames = new FrameDecoder();
  let only: Uint8Array | undefined;
  for await (const chunk of stream.readable) only ??= frames.push(chunk)[0];
  if (only === undefined) throw new Error("jsquic: no answer");
  return only;
}
