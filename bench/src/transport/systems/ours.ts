/** Our transport through its port, as a gateway and a node use it. */
import { FrameDecoder, type ByteStream, type Connection, type Listener } from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { ANSWER, REQUEST, checkAnswer, decode, decodeCount, encodeCount, framed } from "../payload.ts";
import type { BenchClient, BenchServer, Datagrams, Dial, DialerOptions, ServeOptions, Sink, System } from "./system.ts";

const HOST = "127.0.0.1";
const PROTOCOL = "quaymesh-bench/1";
/** The first byte of a stream says what it carries. */
const KINDS = { unary: 1, events: 2, bulk: 3 } as const;
/** So that the listener is never full: closing connections count until they are drained. */
const MAX_CONNECTIONS = 65_536;
/** Receivers of a stream are through with what they read when they ask for more, so they read into one piece of memory. */
const READ_BYTES = 256 << 10;
const REQUEST_BYTES = Uint8Array.of(KINDS.unary, ...framed(REQUEST));
const ANSWER_FRAME = framed(ANSWER);

/** The system. */
export const ours: System = { serve, dialer };

const transportFor = (datagrams: Datagrams) =>
  createQuicTransport(datagrams === "default" ? {} : { datagramBytes: Number(datagrams) });

async function serve({ tls }: ServeOptions): Promise<BenchServer> {
  await using opened = new AsyncDisposableStack();
  const listeners: Listener[] = [];
  const listen = async (datagrams: Datagrams) => {
    const listener = await transportFor(datagrams).listen({
      address: { host: HOST, port: 0 },
      protocol: PROTOCOL,
      credentials: tls,
      trust: { kind: "anchored", anchorsPem: tls.rootPem },
      limits: { maxConnections: MAX_CONNECTIONS },
    });
    opened.use(listener);
    listeners.push(listener);
    void accept(listener).catch(report);
    return listener.address.port;
  };
  const ports = { default: await listen("default"), "1350": await listen("1350") };
  const resources = opened.move();
  return {
    ports,
    connections: () => listeners.reduce((sum, listener) => sum + listener.stats().connections, 0),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function accept(listener: Listener): Promise<void> {
  for await (const connection of listener) void serveConnection(connection).catch(report);
}

async function serveConnection(connection: Connection): Promise<void> {
  for await (const stream of connection.incomingStreams) void serveStream(stream).catch(report);
}

function report(error: unknown): void {
  process.stderr.write(`our server: ${error instanceof Error ? error.message : String(error)}\n`);
}

async function serveStream(stream: ByteStream): Promise<void> {
  const first = await stream.read();
  if (first === null) throw new Error("a stream without a kind");
  const rest = first.subarray(1);
  switch (first[0]) {
    case KINDS.unary:
      return await answerOne(stream, rest);
    case KINDS.events:
      return await countEvents(stream, rest);
    case KINDS.bulk:
      return await countBytes(stream, rest);
    default:
      throw new Error("a stream of unknown kind");
  }
}

async function answerOne(stream: ByteStream, first: Uint8Array): Promise<void> {
  const frames = new FrameDecoder();
  for (let chunk: Uint8Array | null = first; chunk !== null; chunk = await stream.read()) {
    for (const body of frames.push(chunk)) decode(body);
  }
  frames.end();
  await stream.end(ANSWER_FRAME);
}

async function countEvents(stream: ByteStream, first: Uint8Array): Promise<void> {
  const frames = new FrameDecoder();
  let count = 0;
  const memory = new Uint8Array(READ_BYTES);
  for (let chunk: Uint8Array | null = first; chunk !== null; chunk = await stream.read(memory)) {
    for (const body of frames.push(chunk)) {
      decode(body);
      count++;
    }
  }
  frames.end();
  await stream.end(framed(encodeCount(count)));
}

async function countBytes(stream: ByteStream, first: Uint8Array): Promise<void> {
  let count = 0;
  const memory = new Uint8Array(READ_BYTES);
  for (let chunk: Uint8Array | null = first; chunk !== null; chunk = await stream.read(memory)) count += chunk.length;
  await stream.end(framed(encodeCount(count)));
}

function dialer({ tls, ports }: DialerOptions): (datagrams: Datagrams) => Dial {
  return (datagrams) => {
    const transport = transportFor(datagrams);
    return async () => {
      const address = { host: HOST, port: ports[datagrams] };
      const connection = await transport.dial(address, {
        protocol: PROTOCOL,
        serverName: tls.serverName,
        credentials: tls,
        trust: { kind: "anchored", anchorsPem: tls.rootPem },
      });
      return new OurClient(connection);
    };
  };
}

class OurClient implements BenchClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async unary(): Promise<void> {
    const stream = await this.#connection.openStream();
    const sent = stream.end(REQUEST_BYTES);
    if (sent !== undefined) await sent;
    checkAnswer(await onlyFrame(stream));
  }

  async openEvents(): Promise<Sink> {
    return await this.#sink(KINDS.events, (event) => framed(event));
  }

  async openBulk(): Promise<Sink> {
    return await this.#sink(KINDS.bulk, (chunk) => chunk);
  }

  async #sink(kind: number, wrap: (bytes: Uint8Array) => Uint8Array): Promise<Sink> {
    const stream = await this.#connection.openStream();
    await stream.write(Uint8Array.of(kind));
    return {
      write: (bytes) => stream.write(wrap(bytes)),
      finish: async () => {
        await stream.end();
        return decodeCount(await onlyFrame(stream));
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}

/** The frame of an answer, once its stream has ended. */
async function onlyFrame(stream: ByteStream): Promise<Uint8Array> {
  const frames = new FrameDecoder();
  let only: Uint8Array | undefined;
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) only ??= frames.push(chunk)[0];
  if (only === undefined) throw new Error("no answer");
  return only;
}
