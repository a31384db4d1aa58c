/** @grpc/grpc-js, a message per request, event or chunk; no protobuf, so that its codec is not what is measured. */
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ChannelOptions,
  type ClientDuplexStream,
  type handleBidiStreamingCall,
  type handleUnaryCall,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { ANSWER, REQUEST, checkAnswer, decode, decodeCount, encodeCount } from "../payload.ts";
import { Drain } from "./drain.ts";
import type { BenchClient, BenchServer, Dial, DialerOptions, ServeOptions, Sink, System } from "./system.ts";

const HOST = "127.0.0.1";
const READY_MS = 10_000;
const OPTIONS: ChannelOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_concurrent_streams": 1000,
  "grpc-node.flow_control_window": 16 << 20,
};

const asIs = (bytes: Buffer): Buffer => bytes;
const method = (path: string, stream: boolean) => ({
  path,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});
const UNARY = method("/bench/Unary", false);
const EVENTS = method("/bench/Events", true);
const BULK = method("/bench/Bulk", true);
const SERVICE: ServiceDefinition = { unary: UNARY, events: EVENTS, bulk: BULK };

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const REQUEST_MESSAGE = bufferOf(REQUEST);
const ANSWER_MESSAGE = bufferOf(ANSWER);

/** The system. */
export const grpc: System = { serve, dialer };

const unary: handleUnaryCall<Buffer, Buffer> = (call, respond) => {
  decode(call.request);
  respond(null, ANSWER_MESSAGE);
};

const events: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
  let count = 0;
  call.on("data", (message: Buffer) => {
    decode(message);
    count++;
  });
  call.on("end", () => {
    call.write(bufferOf(encodeCount(count)));
    call.end();
  });
};

const bulk: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
  let count = 0;
  call.on("data", (message: Buffer) => {
    count += message.length;
  });
  call.on("end", () => {
    call.write(bufferOf(encodeCount(count)));
    call.end();
  });
};

async function serve({ tls }: ServeOptions): Promise<BenchServer> {
  const server = new Server(OPTIONS);
  server.addService(SERVICE, { unary, events, bulk });
  const pair = { private_key: Buffer.from(tls.keyPem), cert_chain: Buffer.from(tls.chainPem) };
  const secure = ServerCredentials.createSsl(Buffer.from(tls.rootPem), [pair], true);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${HOST}:0`, secure, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  return {
    ports: { default: port, "1350": port },
    connections: () => {
      throw new Error("@grpc/grpc-js does not say how many connections it has");
    },
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}

function dialer({ tls, ports }: DialerOptions): () => Dial {
  const secure = credentials.createSsl(Buffer.from(tls.rootPem), Buffer.from(tls.keyPem), Buffer.from(tls.chainPem));
  const options: ChannelOptions = {
    ...OPTIONS,
    "grpc.ssl_target_name_override": tls.serverName,
    "grpc.default_authority": tls.serverName,
    // Each dial is a connection of its own, not a share of one that is there already.
    "grpc.use_local_subchannel_pool": 1,
  };
  return () => async () => {
    const client = new Client(`${HOST}:${String(ports.default)}`, secure, options);
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + READY_MS, (error) => (error === undefined ? resolve() : reject(error)));
    });
    return new GrpcClient(client);
  };
}

class GrpcClient implements BenchClient {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  unary(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(UNARY.path, asIs, asIs, REQUEST_MESSAGE, (error, answer) => {
        if (error !== null) return reject(error);
        if (answer === undefined) return reject(new Error("grpc: no answer"));
        checkAnswer(answer);
        resolve();
      });
    });
  }

  async openEvents(): Promise<Sink> {
    return sink(this.#client.makeBidiStreamRequest(EVENTS.path, asIs, asIs));
  }

  async openBulk(): Promise<Sink> {
    return sink(this.#client.makeBidiStreamRequest(BULK.path, asIs, asIs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
  }
}

function sink(call: ClientDuplexStream<Buffer, Buffer>): Sink {
  const drain = new Drain(call);
  const counted = new Promise<Buffer>((resolve, reject) => {
    call.on("data", resolve);
    call.on("error", reject);
    call.on("end", () => reject(new Error("grpc: no answer")));
  });
  return {
    write: (bytes) => drain.write(bufferOf(bytes)),
    finish: async () => {
      call.end();
      return decodeCount(await counted);
    },
  };
}
