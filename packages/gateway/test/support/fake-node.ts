import {
  encodeValue,
  MessageStream,
  parseGatewayControl,
  parsePublishReply,
  parseRequest,
  parseSubscriptionMessage,
  parseTaskToNode,
  type Capability,
  type Checkpoint,
  type CloseInfo,
  type Connection,
  type GatewayControlMessage,
  type PublishedEvent,
  type PublishReply,
  type Request,
  type RunningAttempt,
  type SocketAddress,
  type SubscribeRequest,
  type SubscriptionMessage,
  type TaskRun,
  type Transport,
  type WireMessage,
} from "@quaymesh/protocol";
import { fakeCredentials } from "./fake-trust.ts";

/** What a hand-driven node says of itself. */
export interface FakeNodeOptions {
  readonly outboxEpoch?: Uint8Array;
  readonly capabilities?: Capability[];
  readonly running?: RunningAttempt[];
  /** Of the certificate it shows; default: the one it was enrolled with. */
  readonly serial?: string;
  /** The join token its hello shows. */
  readonly join?: Uint8Array | undefined;
  /** The version of the move it follows. */
  readonly moved?: number;
  /** The checkpoint it shows. */
  readonly seen?: Checkpoint;
  /** The device its hello names; default: its own. */
  readonly claims?: string;
}

/** An outbox epoch that says which it is. */
export const epoch = (value: number) => new Uint8Array(16).fill(value);

/** A node without a mind of its own: tests speak for it, message by message. */
export class FakeNode {
  readonly connection: Connection;
  readonly control: MessageStream;
  readonly deviceId: string;
  readonly outboxEpoch: Uint8Array;
  readonly #tasks: AsyncIterator<TaskStream>;

  private constructor(connection: Connection, control: MessageStream, deviceId: string, outboxEpoch: Uint8Array) {
    this.connection = connection;
    this.control = control;
    this.deviceId = deviceId;
    this.outboxEpoch = outboxEpoch;
    this.#tasks = taskStreams(connection);
  }

  /** Dial without saying anything. */
  static async dial(
    transport: Transport,
    address: SocketAddress,
    deviceId: string,
    serial?: string,
  ): Promise<Connection> {
    return await transport.dial(address, {
      protocol: "quaymesh/1",
      serverName: "gateway",
      credentials: fakeCredentials(deviceId, serial),
      trust: { kind: "anchored", anchorsPem: "root" },
    });
  }

  /** Say hello, and wait for nothing. */
  static async greet(connection: Connection, deviceId: string, options: FakeNodeOptions = {}): Promise<MessageStream> {
    const control = new MessageStream(await connection.openStream());
    await control.send(helloOf(deviceId, options.outboxEpoch ?? epoch(1), options));
    return control;
  }

  /** Dial and open the session; resolves with the gateway's welcome. */
  static async connect(
    transport: Transport,
    address: SocketAddress,
    deviceId: string,
    options: FakeNodeOptions = {},
  ): Promise<FakeNode> {
    const connection = await FakeNode.dial(transport, address, deviceId, options.serial);
    const outboxEpoch = options.outboxEpoch ?? epoch(1);
    const control = await FakeNode.greet(connection, deviceId, options);
    const node = new FakeNode(connection, control, deviceId, outboxEpoch);
    const welcome = await node.nextControl();
    if (welcome.type !== "welcome") throw new Error(`expected welcome, got ${welcome.type}`);
    node.welcome = welcome;
    return node;
  }

  welcome!: Extract<GatewayControlMessage, { type: "welcome" }>;

  /** The next message on the control stream. */
  nextControl(): Promise<GatewayControlMessage> {
    return this.control.expect(parseGatewayControl);
  }

  /** Open a stream with `request`. */
  async open(request: Request): Promise<MessageStream> {
    const stream = new MessageStream(await this.connection.openStream());
    await stream.send(request);
    return stream;
  }

  /** Open a publish stream; resolves with `ready`. */
  async publish(outboxEpoch = this.outboxEpoch): Promise<FakePublisher> {
    const stream = await this.open({ v: 1, method: "events.publish", outboxEpoch });
    const ready = await stream.expect(parsePublishReply);
    if (ready.type !== "ready") throw new Error(`expected ready, got ${ready.type}`);
    return new FakePublisher(stream, ready.ackedSeq);
  }

  /** Open a subscription. */
  async subscribe(request: Partial<SubscribeRequest> = {}): Promise<FakeSubscription> {
    const stream = await this.open({
      v: 1,
      method: "events.subscribe",
      after: 0,
      creditEvents: 1000,
      creditBytes: 1_000_000,
      ...request,
    });
    return new FakeSubscription(stream);
  }

  /** A heartbeat, and the gateway's answer to it. */
  async heartbeat(seq: number, running: RunningAttempt[] = []) {
    await this.control.send({ type: "heartbeat", seq, load: 0.5, running });
    for (;;) {
      const message = await this.nextControl();
      if (message.type === "heartbeat.ack" && message.seq === seq) return message;
    }
  }

  /** The next attempt the gateway sends. */
  async nextTask(): Promise<TaskStream> {
    const next = await this.#tasks.next();
    if (next.done === true) throw new Error("the connection is over");
    return next.value;
  }

  get closed(): Promise<CloseInfo> {
    return this.connection.closed;
  }

  async close(): Promise<void> {
    this.connection.close(0);
    await this.connection.closed;
  }
}

/** A publish stream, by hand. */
export class FakePublisher {
  readonly stream: MessageStream;
  readonly ackedSeq: number;

  constructor(stream: MessageStream, ackedSeq: number) {
    this.stream = stream;
    this.ackedSeq = ackedSeq;
  }

  async send(first: number, events: PublishedEvent[]): Promise<void> {
    await this.stream.send({ type: "batch", first, events });
  }

  /** Send a batch packed; `packed` may be anything. */
  async sendPacked(packed: Uint8Array, bytes: number): Promise<void> {
    await this.stream.send({ type: "batch.packed", encoding: "zstd", bytes, packed });
  }

  /** The next reply. */
  reply(): Promise<PublishReply> {
    return this.stream.expect(parsePublishReply);
  }

  /** Replies up to and with the acknowledgement of `seq`. */
  async acked(seq: number): Promise<readonly PublishReply[]> {
    const replies: PublishReply[] = [];
    for (;;) {
      const reply = await this.reply();
      replies.push(reply);
      if (reply.type === "ack" && reply.seq >= seq) return replies;
    }
  }

  /** Send events and wait for their acknowledgement. */
  async publish(first: number, events: PublishedEvent[]): Promise<void> {
    await this.send(first, events);
    await this.acked(first + events.length - 1);
  }
}

/** A subscription, by hand. */
export class FakeSubscription {
  readonly stream: MessageStream;

  constructor(stream: MessageStream) {
    this.stream = stream;
  }

  next(): Promise<SubscriptionMessage> {
    return this.stream.expect(parseSubscriptionMessage);
  }

  /** Events until `count` have come. */
  async events(count: number) {
    const events: Extract<SubscriptionMessage, { type: "events" }>["events"] = [];
    while (events.length < count) {
      const message = await this.next();
      if (message.type === "events") events.push(...message.events);
    }
    return events;
  }

  async send(message: WireMessage): Promise<void> {
    await this.stream.send(message);
  }
}

/** One `task.run` stream, its input read. */
export interface TaskStream {
  readonly run: TaskRun;
  readonly input: Uint8Array;
  readonly stream: MessageStream;
}

async function* taskStreams(connection: Connection): AsyncGenerator<TaskStream, void, undefined> {
  for await (const incoming of connection.incomingStreams) {
    const stream = new MessageStream(incoming);
    const body = await stream.read();
    if (body === null) continue;
    const run = parseRequest(body, ["task.run"]);
    const pieces: Uint8Array[] = [];
    for (;;) {
      const message = await stream.expect(parseTaskToNode);
      if (message.type !== "input") break;
      pieces.push(message.bytes);
    }
    yield { run, input: Buffer.concat(pieces), stream };
  }
}

function helloOf(deviceId: string, outboxEpoch: Uint8Array, options: FakeNodeOptions): Request {
  return {
    v: 1,
    method: "session.open",
    device: options.claims ?? deviceId,
    nonce: new Uint8Array(16),
    outboxEpoch,
    software: "fake/1",
    platform: { os: "linux", arch: "x64" },
    capabilities: options.capabilities ?? [],
    ...(options.join !== undefined && { join: options.join }),
    ...(options.moved !== undefined && { moved: options.moved }),
    ...(options.seen !== undefined && { seen: options.seen }),
    ...(options.running !== undefined && { running: options.running }),
  };
}

/** Events that say which they are. */
export function ticks(first: number, count: number, kind = "test.tick"): PublishedEvent[] {
  return Array.from({ length: count }, (_, index) => ({ kind, time: first + index, data: encodeValue(first + index) }));
}
