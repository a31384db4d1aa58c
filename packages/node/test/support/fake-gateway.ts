import {
  encodeValue,
  MessageStream,
  NODE_METHODS,
  parseNodeControl,
  parsePublishMessage,
  parseRequest,
  parseSubscriberMessage,
  parseTaskEvent,
  parseTaskFromNode,
  type Authorize,
  type ByteStream,
  type Connection,
  type Credentials,
  type Heartbeat,
  type Hello,
  type Listener,
  type LoggedEvent,
  type MeshNewsApplied,
  type PublishedEvent,
  type SocketAddress,
  type SubscribeRequest,
  type TaskEvent,
  type TaskFromNode,
  type TaskRun,
  type Transport,
} from "@quaymesh/protocol";
import { Bell } from "../../src/bell.ts";
import { DEVICE_ID, MESH_ADDRESS } from "./paired-state.ts";

/** How a test's gateway behaves; may change while it runs. */
export interface FakeGatewayBehaviour {
  welcomes: boolean;
  acknowledges: boolean;
  answersHeartbeats: boolean;
  /** This many batches are lost on the way in, as far as the node can tell. */
  losesBatches: number;
  /** `ready` waits for it. */
  readyAfter: Promise<void>;
  /** Reported as no longer the node's. */
  fenced: { taskId: string; token: number }[];
  leaseMs: number;
  heartbeatMs: number;
}

/** One session, as the gateway sees it. */
export interface FakeSession {
  readonly connection: Connection;
  readonly hello: Hello;
  readonly control: MessageStream;
  readonly heartbeats: Heartbeat[];
  bye: string | undefined;
}

/** One attempt, as the gateway sees it. */
export interface FakeAttempt {
  readonly stream: MessageStream;
  readonly messages: TaskFromNode[];
  /** What ended the stream, where that was an error. */
  error: unknown;
}

/** Where and how to listen; made-up credentials do for the memory network. */
export interface FakeListenOptions {
  readonly maxConnections?: number;
  readonly address?: SocketAddress;
  readonly credentials?: Credentials;
  readonly anchorsPem?: string;
  readonly authorize?: Authorize;
}

const LOG = "log-1";

/** A gateway that speaks the real protocol and remembers everything; the rest is up to the test. */
export class FakeGateway implements AsyncDisposable {
  readonly behaviour: FakeGatewayBehaviour = {
    welcomes: true,
    acknowledges: true,
    answersHeartbeats: true,
    losesBatches: 0,
    readyAfter: Promise.resolve(),
    fenced: [],
    leaseMs: 30_000,
    heartbeatMs: 30_000,
  };
  readonly sessions: FakeSession[] = [];
  /** By outbox epoch, the events committed, in order. */
  readonly logs = new Map<string, PublishedEvent[]>();
  /** The log subscribers read. */
  readonly log: LoggedEvent[] = [];
  readonly subscriptions: SubscribeRequest[] = [];
  /** Sequences received that were there before. */
  duplicates = 0;
  batches = 0;
  /** Answers a renewal; throwing refuses it. */
  renew: (csr: Uint8Array) => Promise<{ chain: readonly Uint8Array[]; renewAfter: number }> = async () => {
    throw new Error("no renewals here");
  };
  /** Pairing endpoints that a welcome tells of. */
  pairing: string[] | undefined;
  /** What nodes said they have stored of their mesh. */
  readonly applied: MeshNewsApplied[] = [];
  readonly #bell = new Bell();
  readonly #connections = new Set<Connection>();
  #listener: Listener | undefined;
  #accepting: Promise<void> | undefined;
  #sessionEpoch = 0;

  static async listen(transport: Transport, options: FakeListenOptions = {}): Promise<FakeGateway> {
    const gateway = new FakeGateway();
    await gateway.open(transport, options);
    return gateway;
  }

  /** Listen, again where it was closed. */
  async open(transport: Transport, options: FakeListenOptions = {}): Promise<void> {
    this.#listener = await transport.listen({
      address: options.address ?? MESH_ADDRESS,
      protocol: "quaymesh/1",
      credentials: options.credentials ?? { keyPem: "gateway key", chainPem: "gateway chain" },
      trust: {
        kind: "anchored",
        anchorsPem: options.anchorsPem ?? "root",
        ...(options.authorize && { authorize: options.authorize }),
      },
      limits: { maxConnections: options.maxConnections ?? 16 },
    });
    this.#accepting = this.#acceptAll(this.#listener);
  }

  /** Where it listens. */
  get address(): SocketAddress {
    return this.#listener?.address ?? MESH_ADDRESS;
  }

  get session(): FakeSession {
    const session = this.sessions.at(-1);
    if (session === undefined) throw new Error("no session yet");
    return session;
  }

  /** Every event committed, all epochs together. */
  get events(): PublishedEvent[] {
    return [...this.logs.values()].flat();
  }

  /** Task events committed, decoded. */
  taskEvents(): TaskEvent[] {
    return this.events.flatMap(({ kind, data }) => parseTaskEvent(kind, data) ?? []);
  }

  results(): Extract<TaskEvent, { kind: "task.result" }>["data"][] {
    return this.taskEvents().flatMap((event) => (event.kind === "task.result" ? [event.data] : []));
  }

  /** Wait until `holds`; it is looked at whenever something happened here. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#bell.wait();
  }

  /** Ask the node of the current session to run something. */
  async runTask(
    run: Partial<TaskRun> & { readonly definition: string },
    input: unknown,
    options: { readonly rawInput?: Uint8Array } = {},
  ): Promise<FakeAttempt> {
    const bytes = options.rawInput ?? encodeValue(input);
    const stream = new MessageStream(await this.session.connection.openStream());
    const attempt: FakeAttempt = { stream, messages: [], error: undefined };
    await stream.send({
      v: 1,
      method: "task.run",
      taskId: TASK_ID,
      attempt: 1,
      token: 1,
      leaseMs: this.behaviour.leaseMs,
      timeoutMs: 60_000,
      exclusive: false,
      idempotent: false,
      inputBytes: bytes.length,
      ...run,
    });
    for (let at = 0; at < bytes.length; at += 100_000) {
      await stream.send({ type: "input", bytes: bytes.subarray(at, at + 100_000) });
    }
    await stream.send({ type: "input.end" });
    void this.#collect(attempt);
    return attempt;
  }

  /** Put an event into the log that subscribers read. */
  record(kind: string, value: unknown): void {
    const offset = this.log.length + 1;
    this.log.push({
      offset,
      device: DEVICE_ID,
      outboxEpoch: new Uint8Array(16),
      seq: offset,
      kind,
      time: 1,
      received: 2,
      data: encodeValue(value),
    });
    this.#bell.ring();
  }

  /** Close every connection and the listener, as a gateway that stops does. */
  async close(code = 0, reason = ""): Promise<void> {
    for (const connection of this.#connections) connection.close(code, reason);
    await this.#listener?.close(code, reason);
    await this.#accepting;
    this.#bell.ring();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #acceptAll(listener: Listener): Promise<void> {
    for await (const connection of listener) {
      this.#connections.add(connection);
      void connection.closed.then(() => this.#connections.delete(connection));
      void this.#serve(connection);
    }
  }

  async #serve(connection: Connection): Promise<void> {
    for await (const stream of connection.incomingStreams) {
      this.#handle(connection, stream).catch(() => stream.reset(0));
    }
  }

  async #handle(connection: Connection, byteStream: ByteStream): Promise<void> {
    const stream = new MessageStream(byteStream);
    const frame = await stream.read();
    if (frame === null) return;
    const request = parseRequest(frame, NODE_METHODS);
    switch (request.method) {
      case "session.open":
        return this.#control(connection, stream, request);
      case "events.publish":
        return this.#ingest(stream, Buffer.from(request.outboxEpoch).toString("hex"));
      case "events.subscribe":
        return this.#feed(stream, request);
      case "certificate.renew": {
        const { chain, renewAfter } = await this.renew(request.csr);
        await stream.end({ type: "renewed", chain: [...chain], renewAfter });
        return;
      }
      case "health":
        await stream.end({ type: "health", status: "ok", time: Date.now() });
        return;
      default:
        request satisfies never;
    }
  }

  async #control(connection: Connection, control: MessageStream, hello: Hello): Promise<void> {
    const session: FakeSession = { connection, hello, control, heartbeats: [], bye: undefined };
    this.sessions.push(session);
    this.#bell.ring();
    const { heartbeatMs, leaseMs } = this.behaviour;
    if (!this.behaviour.welcomes) return;
    this.#sessionEpoch += 1;
    await control.send({
      type: "welcome",
      sessionEpoch: this.#sessionEpoch,
      mesh: "meshmeshmeshmesh",
      heartbeatMs,
      ackedSeq: this.logs.get(Buffer.from(hello.outboxEpoch).toString("hex"))?.length ?? 0,
      policyVersion: 0,
      limits: { maxFrameBytes: 524_288, maxBatchEvents: 256, maxEventBytes: 65_536 },
      time: Date.now(),
      ...(this.pairing && { pairing: this.pairing }),
    });
    for await (const message of control.messages(parseNodeControl)) {
      if (message.type === "bye") session.bye = message.reason;
      if (message.type === "roots.applied" || message.type === "moved.applied") this.applied.push(message);
      if (message.type === "heartbeat") {
        session.heartbeats.push(message);
        const { fenced, answersHeartbeats } = this.behaviour;
        if (answersHeartbeats)
          await control.send({ type: "heartbeat.ack", seq: message.seq, leaseMs, fenced: [...fenced] });
      }
      this.#bell.ring();
      if (message.type === "bye") break;
    }
    await control.end({ type: "ping", id: 0 });
  }

  async #ingest(stream: MessageStream, epoch: string): Promise<void> {
    const log = this.logs.get(epoch) ?? [];
    this.logs.set(epoch, log);
    await this.behaviour.readyAfter;
    await stream.send({ type: "ready", ackedSeq: log.length });
    for await (const message of stream.messages(parsePublishMessage)) {
      if (message.type === "end") break;
      if (message.type !== "batch") throw new Error("a packed batch, which was not offered");
      this.batches += 1;
      if (this.behaviour.losesBatches > 0) {
        this.behaviour.losesBatches -= 1;
        continue;
      }
      if (message.first > log.length + 1) {
        await stream.send({ type: "expected", seq: log.length + 1 });
        continue;
      }
      for (const [index, event] of message.events.entries()) {
        const seq = message.first + index;
        const known = log[seq - 1];
        if (known === undefined) log.push(event);
        else if (Buffer.compare(known.data, event.data) === 0) this.duplicates += 1;
        else await stream.send({ type: "conflict", seq });
      }
      this.#bell.ring();
      if (this.behaviour.acknowledges) await stream.send({ type: "ack", seq: log.length });
    }
  }

  async #feed(stream: MessageStream, request: SubscribeRequest): Promise<void> {
    this.subscriptions.push(request);
    this.#bell.ring();
    if (request.log !== undefined && request.log !== LOG) {
      await stream.fail({ code: "LOG_CHANGED", message: "another log", details: { log: LOG } });
      return;
    }
    let credit = request.creditEvents;
    let next = request.after;
    const granting = (async () => {
      for await (const message of stream.messages(parseSubscriberMessage)) {
        if (message.type === "credit") credit += message.events;
        this.#bell.ring();
      }
    })().catch(() => {
      credit = -1;
      this.#bell.ring();
    });
    await stream.send({ type: "subscribed", log: LOG, earliest: 1, latest: this.log.length });
    while (credit >= 0) {
      const events = this.log.slice(next, next + Math.min(credit, 100));
      if (events.length === 0) {
        await this.#bell.wait();
        continue;
      }
      credit -= events.length;
      next += events.length;
      await stream.send({ type: "events", events });
    }
    await granting;
  }

  async #collect(attempt: FakeAttempt): Promise<void> {
    try {
      for await (const message of attempt.stream.messages(parseTaskFromNode)) {
        attempt.messages.push(message);
        this.#bell.ring();
        if (message.type !== "accepted") await attempt.stream.end({ type: "cancel", reason: "over" });
      }
    } catch (cause) {
      attempt.error = cause;
    }
    this.#bell.ring();
  }
}

export const TASK_ID = "01JD0K3X9Y8QZ7V6T5S4R3P2T1";
