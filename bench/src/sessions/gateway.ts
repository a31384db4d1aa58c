/**
 * Ours as a whole gateway: store, authority, admin socket and all, and devices that were enrolled before. A session is there with its `Welcome`; heartbeats come as often as
 * the gateway says.
 */
import { randomBytes } from "node:crypto";
import { Gateway } from "@quaymesh/gateway";
import { connect } from "@quaymesh/gateway/client";
import { MessageStream, parseGatewayControl, type Connection, type Hello, type Transport } from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";
import type {
  BenchClient,
  BenchServer,
  Dial,
  DialerOptions,
  ServeOptions,
  Sink,
  System,
} from "../transport/systems/system.ts";
import { readDevices, type DeviceFile, type DevicesFile } from "./devices.ts";

const HOST = "127.0.0.1";
/** ALPN of the mesh endpoint. docs/wire.md, "Transport". */
const MESH_PROTOCOL = "quaymesh/1";
/** Closing connections count until they are drained. */
const MAX_CONNECTIONS = 65_536;
const UNSETTLED = -1;
/** No pairing window is opened here, so it is never started. */
const PAIRING_CHILD = new URL("../../../packages/cli/src/pairing-child.ts", import.meta.url);

/** The system. */
export const gateway: System = { serve, dialer };

async function serve({ state }: ServeOptions): Promise<BenchServer> {
  if (state === null) throw new Error("a gateway needs its state");
  await using opened = new AsyncDisposableStack();
  const running = opened.use(
    await Gateway.open({
      transport: createQuicTransport(),
      state,
      listen: { host: HOST, port: 0 },
      pairing: { childModule: PAIRING_CHILD },
      transportLimits: { maxConnections: MAX_CONNECTIONS },
      logger: { debug() {}, info() {}, warn: report, error: report },
    }),
  );
  const client = opened.use(await connect({ state }));
  const port = Number(running.addresses[0]?.split(":").at(-1));
  const resources = opened.move();
  return {
    ports: { default: port, "1350": port },
    connections: async () => {
      const { online, connections } = await client.status();
      // A connection that is not online yet, or not any more, counts as neither.
      return online === connections ? online : UNSETTLED;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function report(fields: Readonly<Record<string, unknown>>, message: string): void {
  process.stderr.write(`gateway: ${message} ${JSON.stringify(fields)}\n`);
}

function dialer({ ports, devices }: DialerOptions): () => Dial {
  if (devices === null) throw new Error("a gateway is dialed by devices");
  const transport = createQuicTransport();
  const file = readDevices(devices.file);
  // The first dial says why.
  file.catch(() => {});
  let next = devices.first;
  let back: DeviceFile[] = [];
  return () => async () => {
    const mesh = await file;
    const device = back.pop() ?? mesh.devices[next++];
    if (device === undefined) throw new RangeError("there are no more devices");
    return await DeviceSession.open(transport, ports.default, { mesh, device, done: () => void back.push(device) });
  };
}

interface DeviceOptions {
  readonly mesh: DevicesFile;
  readonly device: DeviceFile;
  /** The device may dial again. */
  readonly done: () => void;
}

class DeviceSession implements BenchClient {
  readonly #connection: Connection;
  readonly #control: MessageStream;
  readonly #done: () => void;
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  #heartbeats: NodeJS.Timeout | undefined;
  #seq = 0;

  private constructor(connection: Connection, control: MessageStream, done: () => void) {
    this.#connection = connection;
    this.#control = control;
    this.#done = done;
  }

  static async open(transport: Transport, port: number, { mesh, device, done }: DeviceOptions): Promise<DeviceSession> {
    const connection = await transport.dial(
      { host: HOST, port },
      {
        protocol: MESH_PROTOCOL,
        serverName: mesh.serverName,
        credentials: device,
        trust: { kind: "anchored", anchorsPem: mesh.rootPem },
      },
    );
    const control = new MessageStream(await connection.openStream());
    await control.send(helloOf(device.deviceId));
    const session = new DeviceSession(connection, control, done);
    await session.#welcomed();
    void session.#read();
    return session;
  }

  /** A heartbeat, and the gateway's answer to it. */
  async unary(): Promise<void> {
    const seq = ++this.#seq;
    const waiting = Promise.withResolvers<void>();
    this.#waiting.set(seq, waiting);
    await this.#control.send({ type: "heartbeat", seq, load: 0, running: [] });
    await waiting.promise;
  }

  async openEvents(): Promise<Sink> {
    throw new Error("a gateway's sessions are idle here");
  }

  async openBulk(): Promise<Sink> {
    throw new Error("a gateway's sessions are idle here");
  }

  async #welcomed(): Promise<void> {
    const welcome = await this.#control.expect(parseGatewayControl);
    if (welcome.type !== "welcome") throw new Error(`expected welcome, got ${welcome.type}`);
    // One that is not answered ends with the session, which is seen by its number.
    this.#heartbeats = setInterval(() => void this.unary().catch(() => {}), welcome.heartbeatMs);
  }

  async #read(): Promise<void> {
    let failure: unknown = new Error("the gateway ended the session");
    try {
      for await (const message of this.#control.messages(parseGatewayControl)) {
        if (message.type !== "heartbeat.ack") continue;
        this.#waiting.get(message.seq)?.resolve();
        this.#waiting.delete(message.seq);
      }
    } catch (error) {
      failure = error;
    }
    clearInterval(this.#heartbeats);
    for (const waiting of this.#waiting.values()) waiting.reject(failure);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#heartbeats);
    await this.#connection[Symbol.asyncDispose]();
    this.#done();
  }
}

function helloOf(device: string): Hello {
  return {
    v: 1,
    method: "session.open",
    device,
    nonce: randomBytes(16),
    outboxEpoch: randomBytes(16),
    software: "quaymesh-bench",
    platform: { os: process.platform, arch: process.arch },
    capabilities: [],
  };
}
